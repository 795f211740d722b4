(define h (hash 'a 1))
(hash-set! h 'b 2)
