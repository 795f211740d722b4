;;; a continuation that is entered for ever
;;; => limit fuel
(define k #f) (call/cc (lambda (c) (set! k c))) (k 1)

;;; continuations that hold each other
;;; => limit memory_bytes
(let loop ((ks '())) (loop (cons (let ((v (make-vector 1000 0))) (call/cc (lambda (k) (cons k v)))) ks)))

;;; the whole stack captured at every step of a deep recursion
;;; => value "2000"
(define ks '()) (let loop ((i 2000)) (if (= i 0) 0 (begin (call/cc (lambda (k) (set! ks (cons k ks)))) (+ 1 (loop (- i 1)))))) (length ks)

;;; leaving and entering a wind for ever
;;; => limit fuel
(define k #f) (dynamic-wind void (lambda () (call/cc (lambda (c) (set! k c)))) void) (k 1)

;;; an escape from a wind's own after-thunk
;;; => value "out"
(let/ec out (dynamic-wind void (lambda () 1) (lambda () (out 'out))))

;;; an escape that was left already
;;; => limit fuel
(define k #f) (let/ec e (set! k e)) (k 1)

;;; a generator entered while it runs
;;; => error exn:fail:contract "running generator"
(define g (generator () (g))) (g)

;;; a continuation of another fiber: its end is the end of whoever runs it
;;; => value "(end 2)"
(define k #f) (define n 0)
(define h (spawn (lambda () (call/cc (lambda (c) (set! k c))) (set! n (+ n 1)) (list 'end n))))
(await h) (k 2)

;;; a continuation of an execution that ended
;;; => value "1"
(define k #f) (+ 0 (call/cc (lambda (c) (set! k c) 1)))

;;; a handler that raises what it handles
;;; => limit memory_bytes
;;; limits: memory_bytes=4194304
(with-exception-handler (lambda (e) (raise e)) (lambda () (let loop () (with-exception-handler (lambda (e) (loop)) (lambda () (raise 1))))))

;;; a handler that returns from what cannot be continued
;;; => error exn:fail "handler"
(with-exception-handler (lambda (e) 1) (lambda () (raise 'x)))

;;; a raise within a raise within a raise
;;; => value "3"
(guard (e (#t e)) (guard (e (#f 1)) (with-exception-handler (lambda (e) (raise 3)) (lambda () (raise 2)))))

;;; a promise that forces itself
;;; => limit memory_bytes
(define p (delay (force p))) (force p)

;;; a parameter whose converter raises
;;; => error exn:fail "no"
(define p (make-parameter 1 (lambda (v) (if (eqv? v 1) 1 (error "no"))))) (parameterize ((p 2)) 1)

;;; thousands of values at once
;;; => value "5000"
(call-with-values (lambda () (apply values (iota 5000))) (lambda l (length l)))

;;; more arguments than a call may have
;;; => error exn:fail:contract "too many arguments"
(apply + (iota 300000))

;;; a call of what is no procedure
;;; => error exn:fail:contract "procedure"
((string-append "a" "b") 1)

;;; a limit within a guard within a wind: none of them sees it
;;; => limit memory_bytes
;;; limits: memory_bytes=8388608
(dynamic-wind void (lambda () (guard (e (#t 'caught)) (let loop ((l '())) (loop (cons l (make-vector 100 l)))))) (lambda () (display "seen")))
