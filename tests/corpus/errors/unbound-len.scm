(define items '(1 2 3))
(displayln (len items))
