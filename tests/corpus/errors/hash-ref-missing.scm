(define config (hash 'name "x" 'size 3))
(hash-ref config 'sise)
