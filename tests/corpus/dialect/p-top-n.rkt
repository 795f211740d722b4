(define (top n l #:key [key values]) (take (sort l > #:key key) (min n (length l))))
(println (top 2 '(5 9 1)))
(println (top 2 '("a" "ccc" "bb") #:key string-length))
(println (top 9 '(1)))
