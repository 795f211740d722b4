(define n (py-exec "1 + 1"))
(+ n 1)
