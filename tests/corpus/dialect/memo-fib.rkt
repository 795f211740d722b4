(define memo (make-hash))
(define (fib n)
  (hash-ref! memo n
             (lambda ()
               (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))))
(println (fib 50))
(println (fib 100))
(define (memoize f)
  (define cache (make-hash))
  (lambda args
    (hash-ref! cache args (lambda () (apply f args)))))
(define slow-add (memoize (lambda (a b) (displayln "computing") (+ a b))))
(println (slow-add 1 2))
(println (slow-add 1 2))
