(define (tree-map f t) (cond [(null? t) '()] [(pair? t) (cons (tree-map f (car t)) (tree-map f (cdr t)))] [else (f t)]))
(println (tree-map add1 '(1 (2 3) ((4)))))
(define (tree-depth t) (if (list? t) (add1 (apply max 0 (map tree-depth t))) 0))
(println (map tree-depth '(a () (1) (1 (2 (3))))))
