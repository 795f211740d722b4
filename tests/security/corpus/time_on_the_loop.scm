;;; a loop without an end
;;; => limit fuel
(let loop () (loop))

;;; a loop of calls that are no tail calls
;;; => limit memory_bytes
(let loop () (+ 1 (loop)))

;;; a loop in a catch-all handler
;;; => limit fuel
(let again () (guard (e (#t (again))) (let loop () (loop))))

;;; a loop in an after-thunk: a limit runs none
;;; => limit fuel
(dynamic-wind void (lambda () (let loop () (loop))) (lambda () (let loop () (display "after") (loop))))

;;; a loop within with-timeout that catches its own end
;;; => limit fuel
(let loop () (with-handlers ((void void)) (with-timeout 0.0001 (lambda () (let spin () (spin))))) (loop))

;;; sleeping without end, in parts
;;; => limit fuel
;;; limits: fuel=30000000
(let loop () (sleep 0) (loop))

;;; a hundred fibers that yield to each other for ever
;;; => limit fuel
(for ([i 100]) (spawn (lambda () (let loop () (sleep 0) (loop)))))
(let loop () (sleep 0) (loop))

;;; a sort whose order is a lie
;;; => value "1000"
(length (sort (iota 1000) (lambda (a b) #t)))

;;; a sort whose order never comes to an end
;;; => limit fuel
(sort (iota 1000) (lambda (a b) (let loop () (loop))))

;;; every look-up of a table by a key that is itself large
;;; => limit fuel
(define k (iota 100000))
(let loop ((h (hash))) (loop (hash-set h (list-copy k) 1)))

;;; normalising and changing the case of what grows by it
;;; => limit fuel
(let loop ((s (make-string 20000 #\x1e9e))) (string-normalize-nfkd (string-foldcase s)) (loop s))

;;; searching for what is nearly everywhere
;;; => limit fuel
(define hay (make-string 200000 #\a))
(define needle (string-append (make-string 1000 #\a) "b"))
(let loop () (string-contains hay needle) (loop))

;;; replacing by a pattern as long as the text
;;; => limit fuel
(define t (make-string 200000 #\a))
(let loop () (string-replace t (substring t 0 100000) "b") (loop))

;;; comparing texts of different width, again and again
;;; => limit fuel
(define a (make-string 200000 #\a))
(define b (substring (string-append a "\x3bb;") 0 200000))
(let loop () (equal? a b) (loop))

;;; walking to the end of a long list, again and again
;;; => limit fuel
(define l (iota 200000))
(let loop () (last l) (list-tail l 199999) (list-ref l 199998) (length l) (loop))

;;; joining many texts, again and again
;;; => limit fuel
(define l (make-list 50000 "ab"))
(let loop () (string-join l ",") (loop))

;;; filling large vectors, again and again
;;; => limit fuel
(let loop () (make-vector 1000000 1) (loop))

;;; requests without end that cost nothing
;;; => limit fuel
(let loop () (context-slice 0 1) (loop))

;;; searching the context without end
;;; => limit fuel
(let loop () (context-search "zzz") (loop))

;;; a search by a pattern of a hundred thousand characters
;;; => error exn:fail:contract "65,536 characters"
(context-search (make-string 100000 #\l))

;;; compiling code without end
;;; => limit fuel
(let loop () (eval '(lambda (x) (cond ((assv x '((1 . 2))) => cdr) (else (let* ((a 1) (b a)) b))))) (loop))

;;; reading the clock without end
;;; => limit fuel
(let loop () (current-milliseconds) (loop))

;;; a wait for what never comes, with nothing else to do
;;; => error exn:fail:deadlock "waits for an event"
(await (spawn (lambda () (let/cc k (await (spawn (lambda () (channel-get (make-channel)))))))))
