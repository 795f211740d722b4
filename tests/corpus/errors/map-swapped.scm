(map '(1 2 3) add1)
