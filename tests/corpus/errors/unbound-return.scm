(define (find-first items)
  (for ([x items])
    (when (> x 2) (return x))))
(find-first '(1 2 3))
