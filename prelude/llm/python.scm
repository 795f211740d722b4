;; llm/python.scm — py-exec, py-eval, py-set!, py-call: the host runs the code.
;;
;; What Python does with a text cannot be followed. So whatever it gives back counts as derived from
;; every text that it was given.

(define %python-lineage '())
(define (%python operation . arguments)
  (if %lineage? (set! %python-lineage (%lineages-joined %python-lineage (provenance arguments))))
  (let* ((reply (apply %request operation arguments))
         (note (%hash-ref reply "note" "")) (trouble (%hash-ref reply "stderr" "")))
    (if (not (string-null? trouble)) (write-string trouble (current-error-port)))
    (if (not (string-null? note)) (begin (write-string note (current-error-port)) (newline (current-error-port))))
    reply))

(define (%check-code who code)
  (cond ((string? code) code)
        (else (%err-type who 0 "string of Python code" code))))

(define (py-exec code)
  (%with-lineage (%hash-ref (%python "py-exec" (%check-code 'py-exec code)) "stdout" "") %python-lineage))
(define (py-eval code)
  (let ((reply (%python "py-eval" (%check-code 'py-eval code))))
    (write-string (%hash-ref reply "stdout" ""))
    (%with-lineage (%hash-ref reply "value" (void)) %python-lineage)))
(define (py-set! name v)
  (if (not (or (string? name) (symbol? name))) (%err-type 'py-set! 0 "name of a Python variable" name))
  (%python "py-set!" (if (symbol? name) (symbol->string name) name) (%plain v))
  (void))
(define (py-call object method . arguments)
  (let ((reply (apply %python "py-call" object (if (symbol? method) (symbol->string method) method)
                      (map %plain arguments))))
    (write-string (%hash-ref reply "stdout" ""))
    (%with-lineage (%hash-ref reply "value" (void)) %python-lineage)))
