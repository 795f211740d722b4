(define-syntax-rule (swap! a b) (let ([t a]) (set! a b) (set! b t)))
(swap! 1)
