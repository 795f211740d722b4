;; capabilities.scm — the procedures of R7RS that touch the world outside. The sandbox has no
;; file system, process or environment: each of them says so and what to use instead. `exit`
;; points to finish.

(define (%no-capability who what instead [kind #f])
  (lambda arguments
    (let ((condition
           (%make-condition 'exn:fail:capability
                            (string-append (symbol->string who) ": this sandbox has no " what
                                           (if instead (string-append "; " instead) ""))
                            arguments)))
      (%set-condition-mark! condition 7 kind)
      (%raise (%condition-locate! condition)))))

;; mark 7 says `file`: file-error? is true of these.
(define (%no-file who)
  (%no-capability who "file system" "use get-context, checkpoint and restore, or string ports" 'file))

(define open-input-file (%no-file 'open-input-file))
(define open-output-file (%no-file 'open-output-file))
(define open-binary-input-file (%no-file 'open-binary-input-file))
(define open-binary-output-file (%no-file 'open-binary-output-file))
(define call-with-input-file (%no-file 'call-with-input-file))
(define call-with-output-file (%no-file 'call-with-output-file))
(define with-input-from-file (%no-file 'with-input-from-file))
(define with-output-to-file (%no-file 'with-output-to-file))
(define file-exists? (%no-file 'file-exists?))
(define delete-file (%no-file 'delete-file))
(define load (%no-file 'load))

;; There is an environment and a command line, but nothing in them: libraries ask when they load.
(define (get-environment-variable name) #f)
(define (get-environment-variables) '())
(define (command-line) (%list "rlm-wasm"))

(define (%no-exit who)
  (%no-capability who "process to end" "use (finish value) to end the program"))
(define exit (%no-exit 'exit))                      ; the dialect's is the same, worded for Racket
(define emergency-exit (%no-exit 'emergency-exit))
