(define (f x)
  (* x 2)))
(f 2)
