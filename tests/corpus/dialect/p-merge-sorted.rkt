(define (merge a b) (cond [(empty? a) b] [(empty? b) a] [(< (first a) (first b)) (cons (first a) (merge (rest a) b))] [else (cons (first b) (merge a (rest b)))]))
(println (merge '(1 4 7) '(2 3 9)))
(println (foldl merge '() '((3) (1) (2))))
