;;; checkpoints stay with the namespace that they were written in
;;; => value "nothing"
(checkpoint "k" "the attacker's") (llm-query #:instruction "q") (restore "k" "nothing")

;;; calls made before the snapshot count after it
;;; => limit calls
;;; limits: calls=3
(let loop () (llm-query #:instruction "q") (loop))

;;; a limit of cost goes along
;;; => limit cost_usd
;;; limits: cost_usd=0.002
(let loop () (llm-query #:instruction "q" #:max-tokens 100) (loop))

;;; fuel goes along
;;; => limit fuel
;;; limits: fuel=50000000
(llm-query #:instruction "q") (let loop () (loop))

;;; memory goes along
;;; => limit memory_bytes
;;; limits: memory_bytes=8388608
(llm-query #:instruction "q") (let loop ((l '())) (loop (cons (make-vector 100 0) l)))

;;; a host function in flight is not run a second time
;;; => error exn:fail:capability "not called a second time"
(await-all (list (spawn (lambda () (host-waits))) (spawn (lambda () (llm-query #:instruction "q")))))

;;; fibers, winds and parameters go along
;;; => value "(2 (in out))"
(define p (make-parameter 1)) (define log '())
(define v (parameterize ((p 2))
  (dynamic-wind (lambda () (set! log (cons 'in log))) (lambda () (llm-query #:instruction "q") (p)) (lambda () (set! log (cons 'out log))))))
(list v (reverse log))

;;; a snapshot in the middle of a sort
;;; => value "(1 2 3 4 5)"
(define first? #t)
(sort '(3 1 2 5 4) (lambda (a b) (when first? (set! first? #f) (llm-query #:instruction "q")) (< a b)))

;;; a snapshot in the middle of a macro's transformer
;;; => value "42"
(define-syntax m (er-macro-transformer (lambda (form rename compare) (llm-query #:instruction "q") 42))) (m)

;;; a continuation that is entered again after the snapshot
;;; => value "3"
(define k #f) (define n 0)
(call/cc (lambda (c) (set! k c))) (set! n (+ n 1))
(llm-query #:instruction "q") (if (< n 3) (k 1) n)

;;; a session that ended by a limit is one that can be taken up
;;; => limit memory_bytes
(let loop ((s "0123456789")) (loop (string-append s s)))

;;; a session that ended by an error is one that can be taken up
;;; => error exn:fail:contract "car"
(define a 1) (car a)
