(struct point (x y))
(define p (point 1 2))
(set-point-x! p 5)
