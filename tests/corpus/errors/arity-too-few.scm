(define (combine a b) (string-append a b))
(combine "x")
