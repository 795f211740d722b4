(define (repeat s n) (apply string-append (for/list ([_ n]) s)))
(println (repeat "ab" 3))
(define (triangle n) (for ([i (in-range 1 (add1 n))]) (printf "~a~a\n" (make-string (- n i) #\space) (make-string (- (* 2 i) 1) #\*))))
(triangle 3)
