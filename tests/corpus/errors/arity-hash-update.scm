(define h (make-hash))
(hash-update! h 'a)
