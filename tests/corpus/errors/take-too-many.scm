(take '(1 2) 5)
