(define (powerset l) (if (null? l) '(()) (let ([p (powerset (cdr l))]) (append p (map (lambda (s) (cons (car l) s)) p)))))
(println (powerset '(a b c)))
(println (length (powerset (range 8))))
(println (combinations '(1 2 3 4) 3))
