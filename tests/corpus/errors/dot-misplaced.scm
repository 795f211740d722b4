(display '(a . ))
