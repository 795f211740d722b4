(define (f x)
  (let ([y (* x 2)])
    (displayln y))

(define (g x)
  (f x))
