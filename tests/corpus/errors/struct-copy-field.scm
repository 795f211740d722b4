(struct point (x y))
(struct-copy point (point 1 2) [z 3])
