(define ks '(a b c)) (define vs '(1 2 3))
(define h (make-immutable-hash (map cons ks vs)))
(println (map (lambda (k) (hash-ref h k)) ks))
(println (for/list ([k ks] [v vs]) (cons k v)))
