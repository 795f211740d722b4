(vector-ref '(1 2 3) 0)
