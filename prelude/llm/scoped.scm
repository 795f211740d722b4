;; llm/scoped.scm — scoped values: text that a model wrote, with the call that it came from, and what
;; every string carries of that afterwards (its lineage).
;;
;; Opaque on purpose: text that came from outside gets into the program by syntax-e, which the
;; scope log shows.

;; The type's name is what an error shows where text was expected.
(define %scoped-type
  (%make-rtd '|scoped value: use (syntax-e v)| #f '#(text call model depth truncated?) '(scoped)))
(define %make-scoped (%record-constructor %scoped-type #f '%make-scoped))
(define syntax? (%record-predicate %scoped-type 'syntax?))
(define %scoped-text (%record-accessor %scoped-type 'text '%scoped-text))
(define %scoped-call (%record-accessor %scoped-type 'call '%scoped-call))
(define %scoped-model (%record-accessor %scoped-type 'model '%scoped-model))
(define %scoped-depth (%record-accessor %scoped-type 'depth '%scoped-depth))
(define %scoped-truncated? (%record-accessor %scoped-type 'truncated? '%scoped-truncated?))

(define (%preview text)
  (if (> (string-length text) 80) (substring text 0 80) text))

(define (%log! op preview scope . more)
  (%outbox! (%cbor-encode
             (list "note" "log"
                   (apply hash "op" op "preview" (%preview (if (string? preview) preview (%->string preview 0 0)))
                          "scope" scope more)))))

;; A line for Result.warnings: what looks like a slip of the program, though it fails nothing.
(define %warned (make-hash)) ; those of this execution: each text is sent once, and so many at the most
(define (%warn! . parts)
  (let ((text (%string-concatenate parts)))
    (when (and (< (hash-count %warned) 100) (not (hash-has-key? %warned text)))
      (hash-set! %warned text #t)
      (%outbox! (%cbor-encode (list "note" "warn" text))))))

;; The text, as a string that carries the call it came from, and those that the call was made from.
(define (%unwrap v)
  (set! %lineage? #t)
  (if (eqv? (%scoped-call v) 0)
      (%scoped-text v)
      (%string-with-lineage (%scoped-text v) (list (%scoped-call v)))))
(define %lineage? #f) ; whether any string of this session can carry one

(define (syntax-e v)
  (cond ((syntax? v)
         (%log! "syntax-e" (%scoped-text v) "sandbox" "call-id" (%scoped-call v))
         (%unwrap v))
        ((%transformer) (%syntax-e v))  ; in a macro: a form
        ((string? v) v)
        ((handle? v)
         (%fail 'exn:fail:contract
                "syntax-e: got an async handle; await it first: (syntax-e (await handle))"))
        (else (%err-type 'syntax-e 0 "scoped value" v))))

(define (datum->syntax context text . ignored)
  (if (%transformer)
      (%datum->syntax context text)     ; in a macro: a form
      (begin
        (if (not (string? text)) (%err-type 'datum->syntax 1 "string" text))
        (%log! "datum->syntax" text "sandbox")
        (if (syntax? context)
            (%make-scoped text (%scoped-call context) (%scoped-model context) (%scoped-depth context) #f)
            (%make-scoped text 0 #f 0 #f)))))
(define (syntax->datum v)
  (if (and (not (syntax? v)) (or (%transformer) (pair? v) (identifier? v) (null? v)))
      (%syntax->datum v)
      (syntax-e v)))

;; Whether the model was cut off, by #:max-tokens or a bound of its own: its text is not all that it had to say.
(define (truncated? v)
  (cond ((syntax? v) (%scoped-truncated? v))
        ((handle? v)
         (%fail 'exn:fail:contract "truncated?: got an async handle; await it first: (truncated? (await handle))"))
        ((string? v)
         (%fail 'exn:fail:contract
                "truncated?: got a string; ask the scoped value that llm-query, await or await-all-syntax gives, before syntax-e"))
        (else (%err-type 'truncated? 0 "scoped value" v))))

;; The ids of the calls that a value's texts derive from, ascending: those that its text came out
;; of, and those that went into their prompts.
(define (provenance v)
  (cond ((syntax? v) (%string-lineage (%unwrap v)))
        ((string? v) (%string-lineage v))
        ((or (not %lineage?) (not (or (pair? v) (vector? v) (hash? v) (%record? v)))) '())
        (else (%string-lineage (%->string v 1 0))))) ; the printer gathers, and knows cycles
(define (%lineages-joined a b)
  (cond ((null? a) b)
        ((null? b) a)
        (else (%string-lineage (%string-with-lineage (%string-with-lineage "" a) b)))))
(define (%with-lineage v ids)
  (cond ((null? ids) v)
        ((string? v) (%string-with-lineage v ids))
        ((list? v) (map (lambda (item) (%with-lineage item ids)) v))
        ((vector? v) (vector-map (lambda (item) (%with-lineage item ids)) v))
        ((hash? v) ; as messages bring them: immutable
         (let loop ((entries (hash->list v)) (v v))
           (if (null? entries)
               v
               (loop (cdr entries) (hash-set v (caar entries) (%with-lineage (cdar entries) ids))))))
        (else v)))
