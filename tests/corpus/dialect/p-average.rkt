(define (average . xs) (/ (apply + xs) (length xs)))
(println (average 1 2 3 4))
(println (exact->inexact (average 1 2)))
(printf "Average: ~a\n" (~r (average 1 2 2) #:precision 3))
