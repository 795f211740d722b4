(define rows '(("id" "name") (1 "x") (22 "yy")))
(define w0 (apply max (map (lambda (r) (string-length (~a (first r)))) rows)))
(for ([r rows]) (printf "| ~a | ~a |\n" (~a (first r) #:min-width w0) (~a (second r) #:min-width 4)))
