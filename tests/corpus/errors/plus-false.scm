(define scores (hash 'a 1))
(+ 1 (hash-ref scores 'b #f))
