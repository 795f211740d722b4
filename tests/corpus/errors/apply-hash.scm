(define h (hash 'a 1))
(h 'a)
