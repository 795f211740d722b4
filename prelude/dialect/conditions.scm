;; The exn types under Racket's names: for each a constructor, make-…, and a predicate. A program's
;; own (struct my-error exn:fail (code)) builds on struct:exn:fail, which the core defines.

(define (%condition-constructor kind)
  (let ((rtd (%exn-type kind)))
    (lambda (message [marks #f])
      (%make-condition rtd message '() #f))))
(define (%condition-predicate kind)
  (%record-predicate (%exn-type kind) (string->symbol (string-append (symbol->string kind) "?"))))

(define-syntax %define-conditions
  (er-macro-transformer
   (lambda (form rename compare)
     `(,(rename 'begin)
       ,@(append-map
          (lambda (name)
            (let ((text (symbol->string name)) (define-word (rename 'define)) (quoted `(,(rename 'quote) ,name)))
              (list `(,define-word ,name (,(rename '%condition-constructor) ,quoted))
                    `(,define-word ,(string->symbol (string-append "make-" text)) ,name)
                    `(,define-word ,(string->symbol (string-append text "?"))
                       (,(rename '%condition-predicate) ,quoted)))))
          (cdr form))))))

(define exn? exn?)
(%define-conditions
 exn:fail exn:break exn:fail:contract exn:fail:contract:arity exn:fail:contract:variable
 exn:fail:contract:divide-by-zero exn:fail:contract:continuation exn:fail:contract:non-fixnum-result
 exn:fail:read exn:fail:read:eof exn:fail:read:non-char exn:fail:syntax exn:fail:syntax:unbound
 exn:fail:user exn:fail:unsupported exn:fail:out-of-memory exn:fail:filesystem exn:fail:network
 exn:fail:capability exn:fail:llm exn:fail:python exn:fail:budget exn:fail:timeout exn:fail:deadlock)
(define exn (%condition-constructor 'exn))
(define make-exn exn)

;; what a match without a matching clause raises
(define %match-failure-type (%make-rtd 'exn:misc:match? struct:exn:fail '#()))
(define (exn:misc:match? v) (%record-is-a? v %match-failure-type))

;; ---- what the core knows of a condition: see enum mark in error.c ----
(define (%with-hint condition hint) (%set-condition-mark! condition 6 hint) condition)
(define (%condition-hint condition) (%condition-mark condition 6))

;; raises: the usual failure of a procedure whose argument will not do
(define (%contract-error message [hint #f])
  (raise (%make-condition struct:exn:fail:contract message '() hint)))
