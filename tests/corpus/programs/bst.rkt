#lang racket
(struct node (key val left right) #:transparent)
(define (insert t k v)
  (match t
    [#f (node k v #f #f)]
    [(node key val l r)
     (cond [(< k key) (struct-copy node t [left (insert l k v)])]
           [(> k key) (struct-copy node t [right (insert r k v)])]
           [else (struct-copy node t [val v])])]))
(define (in-order t)
  (if t
      (append (in-order (node-left t)) (list (cons (node-key t) (node-val t))) (in-order (node-right t)))
      '()))
(define (height t) (if t (add1 (max (height (node-left t)) (height (node-right t)))) 0))
(define (find t k)
  (let loop ([t t])
    (and t (let ([key (node-key t)])
             (cond [(= k key) (node-val t)]
                   [(< k key) (loop (node-left t))]
                   [else (loop (node-right t))])))))
(define (delete t k)
  (match t
    [#f #f]
    [(node key v l r)
     (cond [(< k key) (node key v (delete l k) r)]
           [(> k key) (node key v l (delete r k))]
           [(not l) r]
           [(not r) l]
           [else (match-let ([(cons mk mv) (first (in-order r))])
                   (node mk mv l (delete r mk)))])]))
(define t (for/fold ([t #f]) ([k '(50 30 70 20 40 60 80)] [v '(a b c d e f g)]) (insert t k v)))
(in-order t)
(height t)
(find t 60)
(find t 65)
(map car (in-order (delete (delete t 50) 20)))
(insert #f 1 "one")
(define (show t [depth 0])
  (when t
    (show (node-right t) (add1 depth))
    (printf "~a~a\n" (make-string (* 3 depth) #\space) (node-key t))
    (show (node-left t) (add1 depth))))
(show t)
(for/fold ([acc 0]) ([p (in-order t)]) (+ acc (car p)))
