(define (f x #:size [size 1]) (* x size))
(f 1 #:size)
