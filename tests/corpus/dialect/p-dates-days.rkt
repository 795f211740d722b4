(define days '#(31 28 31 30 31 30 31 31 30 31 30 31))
(define (day-of-year m d) (+ d (for/sum ([i (in-range 0 (sub1 m))]) (vector-ref days i))))
(println (map (lambda (p) (day-of-year (car p) (cdr p))) '((1 . 1) (3 . 1) (12 . 31))))
