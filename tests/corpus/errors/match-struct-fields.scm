(struct point (x y))
(match (point 1 2) [(point a) a])
