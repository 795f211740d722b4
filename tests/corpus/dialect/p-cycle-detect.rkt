(define next (hash 1 2 2 3 3 4 4 2))
(define (cycle start) (let loop ([x start] [seen '()]) (cond [(member x seen) (reverse (cons x (takef seen (lambda (y) (not (= y x))))))] [else (loop (hash-ref next x) (cons x seen))])))
(println (cycle 1))
