(displayln total)
(define total 5)
