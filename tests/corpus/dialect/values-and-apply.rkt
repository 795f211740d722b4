(define (divmod a b) (values (quotient a b) (remainder a b)))
(call-with-values (lambda () (divmod 17 5)) (lambda (q r) (printf "~a r ~a\n" q r)))
(define-values (q r) (divmod 100 7))
(println (list q r))

(define (f #:a [a 1] . rest) (list a rest))
(println (apply f #:a 5 '(1 2)))
(println (apply f '()))
(println (apply string-append (map (lambda (x) (format "~a;" x)) '(1 2))))
