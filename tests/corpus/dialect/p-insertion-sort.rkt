(define (insert x l) (cond [(null? l) (list x)] [(<= x (car l)) (cons x l)] [else (cons (car l) (insert x (cdr l)))]))
(println (foldr insert '() '(3 1 2 5 4)))
(println (foldl insert '() '(2 2 1)))
