(for ([x (list (list 1 2) (vector 3 4) "ab" 2 (hash 'k 'v))]) (for ([y (if (hash? x) (hash->list x) x)]) (printf "~a " y)) (newline))
(println (for/list ([x 3]) x))
(println (sequence->list "abc"))
(println (for/list ([p (in-hash-pairs (hash 'a 1))]) p))
