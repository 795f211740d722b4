(define (lcs a b) (cond [(or (null? a) (null? b)) '()] [(equal? (car a) (car b)) (cons (car a) (lcs (cdr a) (cdr b)))] [else (let ([x (lcs (cdr a) b)] [y (lcs a (cdr b))]) (if (>= (length x) (length y)) x y))]))
(println (list->string (lcs (string->list "AGGTAB") (string->list "GXTXAYB"))))
