(define (f x #:size size) (* x size))
(f 1)
