(define (lookup k al) (cond [(assoc k al) => (match-lambda [(cons _ v) v])] [else 'missing]))
(println (lookup 'b '((a . 1) (b . 2))))
(println (lookup 'z '()))
