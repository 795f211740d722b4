(with-handlers (exn:fail? (lambda (e) 1)) (car '()))
