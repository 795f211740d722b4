;; Two matrices of 60 by 60 floating-point numbers multiplied.
(define n 60)
(define (matrix f) (for/vector ([i n]) (for/vector ([j n]) (f i j))))
(define a (matrix (lambda (i j) (+ 0.5 (modulo (+ (* i 7) j) 11)))))
(define b (matrix (lambda (i j) (- (modulo (+ i (* j 5)) 13) 2.5))))
(define c
  (matrix (lambda (i j)
            (define row (vector-ref a i))
            (for/fold ([sum 0.0]) ([k (in-range n)])
              (+ sum (* (vector-ref row k) (vector-ref (vector-ref b k) j)))))))
(exact-round (for*/fold ([sum 0.0]) ([row c] [x row]) (+ sum (abs x))))
