(define obj (new point% [x 1]))
(send obj move 1 2)
