(define (total xs) (apply + xs))
(total '(1 2 "3"))
