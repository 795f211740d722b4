(map '(lambda (x) x) '(1 2))
