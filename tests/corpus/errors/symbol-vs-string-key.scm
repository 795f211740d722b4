(define h (hash "name" "x"))
(hash-ref h 'name)
