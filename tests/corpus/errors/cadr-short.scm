(cadr '(1))
