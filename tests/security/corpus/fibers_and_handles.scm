;;; fibers that make fibers
;;; => limit handles
(define (f) (spawn f) (spawn f) (sleep 0)) (f) (sleep 100)

;;; a fiber that awaits itself
;;; => error exn:fail:deadlock "waits for spawned fiber 1, fiber 1 waits for spawned fiber 1"
(define h #f) (set! h (spawn (lambda () (await h)))) (await h)

;;; two fibers that await each other
;;; => error exn:fail:deadlock "fiber 1 waits for spawned fiber 2, fiber 2 waits for spawned fiber 1"
(define a #f) (define b #f) (set! a (spawn (lambda () (sleep 0) (await b)))) (set! b (spawn (lambda () (await a)))) (await a)

;;; awaiting what is no handle
;;; => error exn:fail:contract "handle"
(await 5)

;;; awaiting the same handle again and again
;;; => value "300"
(define h (spawn (lambda () 3))) (for/sum ([i 100]) (await h))

;;; cancelling what is over
;;; => value "3"
(define h (spawn (lambda () 3))) (await h) (cancel h) (await h)

;;; a fiber that cancels its parent
;;; => value "alive"
(define me (spawn (lambda () (sleep 0.01) 'alive))) (spawn (lambda () (void))) (await me)

;;; a fiber that is cancelled, and catches that
;;; => value "cancelled"
(define h (spawn (lambda () (let loop () (guard (e (#t (loop))) (sleep 100))))))
(sleep 0) (cancel h) (guard (e (#t 'cancelled)) (await h))

;;; a cancelled fiber whose after-thunk waits
;;; => value "over"
(define h (spawn (lambda () (dynamic-wind void (lambda () (sleep 100)) (lambda () (sleep 0.001))))))
(sleep 0) (cancel h) (guard (e (#t #f)) (await h)) 'over

;;; an error in a fiber that nobody awaits
;;; => value "fine"
(spawn (lambda () (car 1))) (sleep 0) 'fine

;;; finishing from a fiber
;;; => finished "from a fiber"
(spawn (lambda () (finish "from a fiber"))) (sleep 100)

;;; a timeout that is negative
;;; => error exn:fail:contract "with-timeout"
(with-timeout -1 (lambda () 1))

;;; a timeout that is not a number
;;; => error exn:fail:contract "with-timeout"
(with-timeout +nan.0 (lambda () 1))

;;; a sleep without end is no work: cancelled with its fiber
;;; => value "done"
(spawn (lambda () (sleep 1e300))) 'done

;;; a sleep that is negative
;;; => error exn:fail:contract "sleep"
(sleep -1)

;;; a race of nothing
;;; => error exn:fail:contract "empty list"
(await-any '())

;;; a map-async whose procedure gives no handle
;;; => value "(0 1 2)"
(map-async (lambda (i) i) (range 3))

;;; a concurrency that is none
;;; => error exn:fail:contract "max-concurrent"
(map-async (lambda (i) (llm-query-async #:instruction "q")) (range 3) #:max-concurrent 0)

;;; a map-async over a list that contains itself
;;; => error exn:fail:contract "list"
(define l (list 1 2)) (set-cdr! (cdr l) l) (map-async (lambda (i) (spawn (lambda () i))) l)

;;; handles that are dropped by the thousand, one after the other
;;; => value "2000"
(for/sum ([i 2000]) (await (spawn (lambda () 1))))
