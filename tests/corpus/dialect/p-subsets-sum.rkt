(define (subset-sum l t) (for/list ([s (combinations l)] #:when (= t (apply + s))) s))
(println (subset-sum '(1 2 3 4 5) 6))
