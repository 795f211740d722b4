(struct point (x y))
(point-x '(1 2))
