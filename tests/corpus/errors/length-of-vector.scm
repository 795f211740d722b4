(length (vector 1 2))
