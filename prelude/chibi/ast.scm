;; chibi/ast.scm — the library (chibi ast): what there is of a compiler to look into.
;;
;; Types are answered for every object; the abstract syntax tree of Chibi's own compiler has no
;; counterpart, and the procedures that take it apart say so.

(define (%chibi:type name) (%make-rtd name #f '#()))

(define-values (%chibi:Object %chibi:Input-Port %chibi:Output-Port %chibi:Opcode %chibi:Procedure
                %chibi:Bytecode %chibi:Macro %chibi:Env %chibi:Number %chibi:Bignum
                %chibi:Flonum %chibi:Integer %chibi:Complex %chibi:Char %chibi:Boolean
                %chibi:Symbol %chibi:String %chibi:Byte-Vector %chibi:Vector %chibi:Pair
                %chibi:File-Descriptor %chibi:Context %chibi:Exception %chibi:Core %chibi:Sc)
  (apply values
         (map %chibi:type
              '(object input-port output-port opcode procedure bytecode macro environment
                number bignum flonum integer complex char boolean symbol string bytevector
                vector pair file-descriptor context exception core syntactic-closure))))

(define (%chibi:type-of x)
  (cond ((%record? x) (%record-rtd x))
        ((pair? x) %chibi:Pair)
        ((symbol? x) %chibi:Symbol)
        ((string? x) %chibi:String)
        ((%chibi:fixnum? x) %chibi:Integer)
        ((%chibi:bignum? x) %chibi:Bignum)
        ((%chibi:flonum? x) %chibi:Flonum)
        ((number? x) %chibi:Number)
        ((char? x) %chibi:Char)
        ((boolean? x) %chibi:Boolean)
        ((vector? x) %chibi:Vector)
        ((bytevector? x) %chibi:Byte-Vector)
        ((procedure? x) %chibi:Procedure)
        ((input-port? x) %chibi:Input-Port)
        ((output-port? x) %chibi:Output-Port)
        ((environment? x) %chibi:Env)
        (else #f)))

(define (%chibi:type? x) (%rtd? x))
(define (%chibi:type-name rtd) (symbol->string (%rtd-name rtd)))
(define (%chibi:type-parent rtd) (or (%rtd-parent rtd) #f))
;; Own slots, then those of the ancestors are the parent's.
(define (%chibi:type-slots rtd)
  (let* ((all (vector->list (%rtd-fields rtd))) (parent (%rtd-parent rtd)))
    (if parent (list-tail all (vector-length (%rtd-fields parent))) all)))
(define (%chibi:type-num-slots rtd) (vector-length (%rtd-fields rtd)))
(define (%chibi:type-cpl rtd)
  (let loop ((rtd rtd) (acc '()))
    (if rtd (loop (%rtd-parent rtd) (cons rtd acc)) (list->vector acc))))
(define (%chibi:type-printer rtd) (%rtd-printer rtd))
;; Chibi's printers write to a port: (printer record write port).
(define (%chibi:type-printer-set! rtd printer)
  (%set-rtd-printer! rtd (and printer
                              (lambda (record)
                                (call-with-output-string
                                  (lambda (port) (printer record write port)))))))

(define (%chibi:procedure-name f) (%procedure-name f))
(define (%chibi:procedure-arity f)
  (apply min (map car (or (%procedure-arities f) '((0 . #f))))))
(define (%chibi:procedure-variadic? f)
  (any (lambda (arity) (not (cdr arity))) (or (%procedure-arities f) '((0 . #f)))))

(define-syntax %define-never
  (syntax-rules ()
    ((_ name ...) (begin (define (name x) #f) ...))))

(%define-never %chibi:lambda? %chibi:cnd? %chibi:set? %chibi:ref? %chibi:seq? %chibi:lit?
               %chibi:core? %chibi:bytecode? %chibi:context? %chibi:file-descriptor?
               %chibi:opcode?)

(define (%chibi:macro? x) (%macro? x))
(define (%chibi:environment? x) (environment? x))
(define (%chibi:integer->error-string . n) "error")
(define (%chibi:object-size x) 0)
(define (%chibi:object->integer x) (eq-hash-code x))
(define (%chibi:string-contains s pattern [start 0]) (%string-index-of s pattern start))
(define (%chibi:make-immutable! x) (%make-immutable! x))
(define-syntax %chibi:atomically (syntax-rules () ((_ body ...) (let () body ...))))
(define (%chibi:string-cursor-copy! to at from start end)
  (let ((n (min (- end start) (- (string-length to) at))))
    (string-copy! to at from start (+ start n))
    (+ start n)))
(define (%chibi:flatten-dot x)
  (cond ((pair? x) (cons (car x) (%chibi:flatten-dot (cdr x))))
        ((null? x) x)
        (else (list x))))
;; ---- transformers of identifiers (SRFI 211); a transformer here is a procedure of the form, or a macro ----
(define-syntax %chibi:identifier-syntax
  (syntax-rules ()
    ((_ (name reference) ((set pattern value) assignment))
     (make-set!-transformer
      (lambda (form)
        (syntax-case form (set!)
          ((set! pattern value) (syntax assignment))
          ((name . rest) (syntax (reference . rest)))
          (name (identifier? (syntax name)) (syntax reference))))))
    ((_ template)
     (make-set!-transformer
      (lambda (form)
        (syntax-case form (set!)
          ((set! name value) (%macro-error 'set! "this name stands for an expression, which cannot be assigned" form))
          ((name . rest) (syntax (template . rest)))
          (name (identifier? (syntax name)) (syntax template))))))))
(define (%chibi:make-variable-transformer t)
  (make-set!-transformer
   (cond ((%macro? t) (lambda (form) (%use-transformer (%macro-kind t) (%macro-data t) form)))
         ((not (procedure? t)) (%err-type 'make-variable-transformer 0 "transformer" t))
         ((= 1 (%chibi:procedure-arity t)) t)
         (else (lambda (form) (%use-transformer 5 t form))))))
;; What the expander does with a transformer of one of its kinds.
(define (%use-transformer kind proc form)
  (let ((use (vector-ref (%transformer) 1)) (own (vector-ref (%transformer) 2)))
    (case kind
      ((2) (proc form (%chibi:make-renamer own)
                 (lambda (a b) (if (and (identifier? a) (identifier? b)) (identifier=? use a use b) (eq? a b)))))
      ((3) (make-syntactic-closure own '() (proc form use)))
      ((4) (proc form own))
      ((5) (proc form use own))
      (else (proc form)))))
(define (%chibi:procedure-variable-transformer? t) (set!-transformer? t))

;; ---- procedures with a tag (SRFI 229) ----
(define %tagged-procedure (%make-rtd 'tagged-procedure #f '#(procedure tag)))
(%set-rtd-apply! %tagged-procedure (lambda (tagged . arguments) (apply (%record-ref tagged 0) arguments)))
(define (%tag-procedure procedure tag) (%record %tagged-procedure procedure tag))
(define-syntax %lambda/tag
  (syntax-rules () ((_ tag formals . body) (%tag-procedure (lambda formals . body) tag))))
(define-syntax %case-lambda/tag
  (syntax-rules () ((_ tag . clauses) (%tag-procedure (case-lambda . clauses) tag))))
(define (%procedure/tag? x) (%record-is-a? x %tagged-procedure))
(define (%procedure-tag x)
  (unless (%procedure/tag? x) (%err-type 'procedure-tag 0 "procedure with a tag" x))
  (%record-ref x 1))
(define %chibi:no-modules #f)
