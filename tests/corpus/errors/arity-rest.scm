(define (f a . rest) a)
(f)
