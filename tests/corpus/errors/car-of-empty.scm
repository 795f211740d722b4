(define (first-word s) (car (string-split s)))
(first-word "")
