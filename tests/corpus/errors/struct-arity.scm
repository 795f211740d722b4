(struct point (x y))
(point 1)
