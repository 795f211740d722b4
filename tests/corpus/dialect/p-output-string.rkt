(define (render items) (with-output-to-string (lambda () (for ([i items] [n (in-naturals 1)]) (printf "~a) ~a\n" n i)))))
(display (render '(apple banana)))
(println (string-length (render '())))
(println (call-with-output-string (lambda (out) (fprintf out "~s" '("x")) (newline out))))
