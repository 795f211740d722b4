(define (alist-update al k f d)
  (cond [(null? al) (list (cons k (f d)))]
        [(equal? (caar al) k) (cons (cons k (f (cdar al))) (cdr al))]
        [else (cons (car al) (alist-update (cdr al) k f d))]))
(define counts (foldl (lambda (w al) (alist-update al w add1 0)) '() '("a" "b" "a" "c" "a")))
(println counts)
(println (sort counts > #:key cdr))
(println (assoc "z" counts))
(println (dict-ref counts "a"))
