(define total (+ 1 2))
(total)
