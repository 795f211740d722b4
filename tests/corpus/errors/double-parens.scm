(define (f x) (* x 2))
(displayln ((f 2)))
