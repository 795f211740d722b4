(define (commas n) (let loop ([s (number->string n)]) (if (<= (string-length s) 3) s (string-append (loop (substring s 0 (- (string-length s) 3))) "," (substring s (- (string-length s) 3))))))
(for ([n '(5 1234 1234567 1000000000)]) (displayln (commas n)))
(println (~r 1234567.891 #:precision '(= 2)))
(println (real->decimal-string 1234.5 2))
