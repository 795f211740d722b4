(define (change n coins) (cond [(= n 0) 1] [(or (< n 0) (null? coins)) 0] [else (+ (change n (cdr coins)) (change (- n (car coins)) coins))]))
(println (change 100 '(50 25 10 5 1)))
(define (greedy n coins) (for/fold ([left n] [used '()] #:result (reverse used)) ([c coins]) (values (remainder left c) (if (>= left c) (cons (list c (quotient left c)) used) used))))
(println (greedy 93 '(50 20 10 5 2 1)))
