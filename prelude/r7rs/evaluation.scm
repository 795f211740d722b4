;; evaluation.scm — eval and the environments of R7RS.

;; The session's top level. It is made once, when the image is built (the end of runtime/main.scm).
(define %repl-environment #f)
(define (interaction-environment)
  (unless %repl-environment (set! %repl-environment (%make-repl-environment)))
  %repl-environment)

(define (eval form [env (interaction-environment)])
  (unless (environment? env) (%err-type 'eval 1 "environment" env))
  (%eval-form form env "eval"))

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

