(define (deep-sum t) (cond [(number? t) t] [(list? t) (apply + (map deep-sum t))] [else 0]))
(println (deep-sum '(1 (2 (3 "x")) ((4)))))
(println (apply + (flatten '(1 (2 (3))))))
