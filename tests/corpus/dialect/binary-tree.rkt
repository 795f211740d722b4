(struct node (val left right) #:transparent)
(define (insert t v)
  (cond [(not t) (node v #f #f)]
        [(< v (node-val t)) (struct-copy node t [left (insert (node-left t) v)])]
        [else (struct-copy node t [right (insert (node-right t) v)])]))
(define (inorder t)
  (if t (append (inorder (node-left t)) (list (node-val t)) (inorder (node-right t))) '()))
(define t (foldl (lambda (v t) (insert t v)) #f '(5 2 8 1 9 3)))
(println (inorder t))
(define (depth t) (if t (add1 (max (depth (node-left t)) (depth (node-right t)))) 0))
(println (depth t))
(println (foldl (lambda (v t) (insert t v)) #f '(2 1)))
