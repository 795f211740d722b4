(define h (hash 'a 1))
(hash-get h 'a)
