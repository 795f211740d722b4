(define-syntax-rule (swap! a b) (let ([tmp a]) (set! a b) (set! b tmp)))
(define x 1)
(define y 2)
(swap! x y)
(println (list x y))
(define tmp 5) (define other 6)
(swap! tmp other)
(println (list tmp other))
(define-syntax my-or
  (syntax-rules ()
    [(_) #f]
    [(_ e) e]
    [(_ e r ...) (let ([t e]) (if t t (my-or r ...)))]))
(define t 5)
(println (my-or #f t))
(define-syntax while
  (syntax-rules ()
    [(_ cond body ...) (let loop () (when cond body ... (loop)))]))
(define i 0)
(while (< i 3) (printf "i=~a\n" i) (set! i (+ i 1)))
(define-syntax for-each-item
  (syntax-rules (in)
    [(_ v in lst body ...) (for-each (lambda (v) body ...) lst)]))
(for-each-item z in '(1 2) (println z))
(define-syntax-rule (unless-zero n body ...) (if (zero? n) 'zero (begin body ...)))
(println (unless-zero 1 'a 'b))
