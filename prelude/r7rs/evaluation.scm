;; evaluation.scm — eval and the environments of R7RS.

;; The session's top level. It is made once, when the image is built (the end of runtime/main.scm).
(define %repl-environment #f)
(define (interaction-environment)
  (unless %repl-environment (set! %repl-environment (%make-repl-environment)))
  %repl-environment)

;; What it runs has the places that a quoted form has in the program; else that of the call.
(define (eval form [env (interaction-environment)])
  (unless (environment? env) (%err-type 'eval 1 "environment" env))
  (let ((place (%place)))
    (if place
        (%eval-form (%form-at form (cadr place) (caddr place)) env (car place))
        (%eval-form form env "eval"))))

(define (environment . import-sets)
  (let ((env (%make-environment #f)))
    (%eval-form (cons 'import import-sets) env "environment")
    env))

(define (%report-environment who)
  (lambda (version)
    (unless (eqv? version 5) (%err-type who 0 "version 5" version))
    (environment '(scheme r5rs))))
(define scheme-report-environment (%report-environment 'scheme-report-environment))
(define null-environment (%report-environment 'null-environment))

