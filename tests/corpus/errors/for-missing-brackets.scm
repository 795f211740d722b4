(for (x '(1 2 3)) (displayln x))
