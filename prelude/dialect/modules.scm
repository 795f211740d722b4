;; What Racket's programs bring along that means little or nothing here: modules, contracts,
;; namespaces; and what there is not, with what to write instead.

;; module-level forms that a script may bring along
(define-syntax provide (syntax-rules () ((_ . rest) (void))))
(define-syntax module+ (er-macro-transformer (lambda (form rename compare) `(,(rename 'begin) ,@(cddr form)))))
(define-syntax begin-for-syntax (syntax-rules () ((_ . rest) (void))))
(define-syntax require (syntax-rules () ((_ . rest) (void))))
(define-syntax module* (er-macro-transformer (lambda (form rename compare) `(,(rename 'void)))))

;; contracts are not checked
(define-syntax define/contract
  (syntax-rules () ((_ head contract body ...) (define head body ...))))
(define-syntax struct/contract
  (syntax-rules () ((_ name ((field contract) ...) . options) (struct name (field ...) . options))))

;; ---- namespaces: there is one ----
(define (make-base-namespace) (interaction-environment))
(define (make-base-empty-namespace) (interaction-environment))
(define (current-namespace . ignored) (interaction-environment))
(define (namespace-require . ignored) (void))
(define (namespace-anchor->namespace anchor) (interaction-environment))
(define-syntax define-namespace-anchor (syntax-rules () ((_ name) (define name #f))))

;; ---- rackunit, as far as programs check themselves: a failure is shown on stderr ----
(define (%check name holds? . shown)
  (if (not holds?)
      (eprintf "FAILURE in ~a~a\n" name
               (%string-concatenate (map (lambda (v) (string-append "\n  " (%shown v 200))) shown)))))
(define (check-equal? actual expected [message #f]) (%check 'check-equal? (equal? actual expected) actual expected))
(define (check-not-equal? actual expected [message #f]) (%check 'check-not-equal? (not (equal? actual expected)) actual))
(define (check-eq? actual expected [message #f]) (%check 'check-eq? (eq? actual expected) actual expected))
(define (check-eqv? actual expected [message #f]) (%check 'check-eqv? (eqv? actual expected) actual expected))
(define (check-= actual expected tolerance [message #f])
  (%check 'check-= (<= (abs (- actual expected)) tolerance) actual expected))
(define (check-true v [message #f]) (%check 'check-true (eq? v #t) v))
(define (check-false v [message #f]) (%check 'check-false (eq? v #f) v))
(define (check-not-false v [message #f]) (%check 'check-not-false v v))
(define (check-pred good? v [message #f]) (%check 'check-pred (good? v) v))
(define (check-exn good? thunk [message #f])
  (let ((raised (%catch (lambda (e) (list e)) (lambda () (thunk) #f))))
    (%check 'check-exn (and raised (if (regexp? good?)
                                       (and (exn? (car raised)) (regexp-match? good? (exn-message (car raised))))
                                       (good? (car raised)))))))
(define-syntax test-case (syntax-rules () ((_ name body ...) (let () body ...))))

;; ---- what there is not ----
(define-syntax %define-missing
  (syntax-rules ()
    ((_ (name advice) ...)
     (begin (define-syntax name (er-macro-transformer (lambda (form rename compare) (%macro-error 'name advice form)))) ...))))
(%define-missing
 (syntax-case "there are no syntax-case macros here; write them with define-syntax-rule or syntax-rules")
 (syntax-parse "there are no syntax-parse macros here; write them with define-syntax-rule or syntax-rules")
 (class "there are no classes here; use struct, closures, or define-generics")
 (new "there are no classes here; use struct, closures, or define-generics")
 (send "there are no classes here; use struct, closures, or define-generics")
 (place "there are no places here; use spawn or map-async"))
