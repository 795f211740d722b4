(define n (string->number "12a"))
(+ n 1)
