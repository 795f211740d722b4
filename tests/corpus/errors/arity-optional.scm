(define (f a [b 2]) (+ a b))
(f 1 2 3)
