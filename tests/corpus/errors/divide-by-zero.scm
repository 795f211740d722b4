(define (average xs) (/ (apply + xs) (length xs)))
(average '())
