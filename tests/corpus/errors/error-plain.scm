(define (check x) (unless (number? x) (error 'check "expected a number, got ~s" x)) x)
(check "five")
