(define items '(1 2 3))
(displayln (items 0))
