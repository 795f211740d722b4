(define-syntax-rule (my-or a b) (let ([t a]) (if t t b)))
(define t 5)
(println (my-or #f t))
(define-syntax-rule (repeat n body) (for ([i n]) body))
(define i 'mine)
(repeat 2 (print i))
(newline)
(define-syntax my-let
  (syntax-rules () [(_ ([n v] ...) b ...) ((lambda (n ...) b ...) v ...)]))
(println (my-let ([x 1] [y 2]) (+ x y)))
(define-syntax my-cond
  (syntax-rules (else) [(_ [else e]) e] [(_ [c e] r ...) (if c e (my-cond r ...))]))
(println (my-cond [#f 1] [else 2]))
