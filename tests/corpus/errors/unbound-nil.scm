(define (f x) (if (null? x) nil x))
(f '())
