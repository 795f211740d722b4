#lang racket
(struct node (key val left right) #:transparent)
(define (insert t k v)
  (match t
    [#f (node k v #f #f)]
    [(node key val l r)
     (cond [(< k key) (node key val (insert l k v) r)]
           [(> k key) (node key val l (insert r k v))]
           [else (node k v l r)])]))
(define t (for/fold ([t #f]) ([p '((5 . a) (2 . b) (8 . c) (1 . d))]) (insert t (car p) (cdr p))))
t
(define (in-order t) (if t (append (in-order (node-left t)) (list (node-key t)) (in-order (node-right t))) '()))
(in-order t)
(define (height t) (match t [#f 0] [(node _ _ l r) (add1 (max (height l) (height r)))]))
(height t)
(define (lookup t k [default (λ () (error 'lookup "no such key: ~a" k))])
  (match t
    [#f (if (procedure? default) (default) default)]
    [(node key v _ _) #:when (= k key) v]
    [(node key _ l _) #:when (< k key) (lookup l k default)]
    [(node _ _ _ r) (lookup r k default)]))
(lookup t 8)
(lookup t 9 'missing)
(with-handlers ([exn:fail? (λ (e) (exn-message e))]) (lookup t 9))
(define/match (size t) [(#f) 0] [((node _ _ l r)) (+ 1 (size l) (size r))])
(size t)
(let loop ([t t] [depth 0])
  (when t
    (loop (node-right t) (+ depth 1))
    (printf "~a~a\n" (make-string (* 2 depth) #\space) (node-key t))
    (loop (node-left t) (+ depth 1))))
(pretty-print t)
