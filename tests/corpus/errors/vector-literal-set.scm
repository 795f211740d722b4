(define v '#(1 2 3))
(vector-set! v 0 9)
