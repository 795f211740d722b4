(define h (hash 1 "one" 2 "two"))
(hash-ref h "1")
