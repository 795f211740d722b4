(define-syntax-rule (t e ...) (begin (println e) ...))
(t (for/list ([i 3] [j 5]) (cons i j)) (for*/list ([i 2] [j i]) (cons i j)) (for/list ([x '()] ) x) (for/list ([i (in-range 5 1 -2)]) i) (for/list ([c (in-string "abc" 1)]) c) (for/list ([v (in-vector #(a b c) 1)]) v) (for/list ([v (in-vector #(a b c d) 0 4 2)]) v) (for/vector ([c "ab"]) c))
