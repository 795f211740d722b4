#lang racket
(define (describe v)
  (match v
    ['() "empty"]
    [(list x) (format "one: ~a" x)]
    [(list 'point x y) #:when (= x y) (format "diagonal ~a" x)]
    [(list 'point x y) (format "point ~a ~a" x y)]
    [(list (? string? s) (? number? n) ...) (format "~a has ~a" s n)]
    [(cons a (cons b _)) #:when (eq? a 'pair) (format "pair ~a" b)]
    [(vector a b ...) (format "vector ~a then ~a" a b)]
    [(hash-table ['type t] ['id id]) (format "~a #~a" t id)]
    [(regexp #px"^(\\w+)@(\\w+)$" (list _ user host)) (format "mail ~a at ~a" user host)]
    [(? symbol? (app symbol->string s)) (format "symbol ~a" s)]
    [(box (and n (? number?) (not 0))) (format "boxed ~a" n)]
    [(or 1 2 3) "small"]
    [(? number? n) (format "number ~a" n)]
    [_ "something else"]))
(for ([v (list '() '(1) '(point 2 2) '(point 1 2) '("ann" 1 2 3) '(pair 9 x) #(1 2 3) (hash 'type "user" 'id 4)
               "me@home" 'sym (box 5) (box 0) 2 10 #\c)])
  (displayln (describe v)))
(match-define (list a (list b c ...)) '(1 (2 3 4)))
(list a b c)
(match-let ([(cons x y) '(1 . 2)] [(vector z) #(3)]) (+ x y z))
(match '(1 2 3 4 5) [(list a b ... c) (list a b c)])
(match '((a 1) (b 2) (c 3)) [(list (list k v) ...) (map cons k v)])
(match 5 [(and n (? odd?)) (=> skip) (if (> n 10) 'big (skip))] [n 'fallback])
(define-match-expander twice (lambda (stx) (syntax-case stx () [(_ p) #'(list p p)])))
(match '(7 7) [(twice x) x])
(match* (1 "x") [((? number? n) (? string? s)) (list n s)])
(define/match (fact n)
  [(0) 1]
  [(n) (* n (fact (sub1 n)))])
(fact 6)
(match "abc" [(pregexp #px"b") 'has-b] [_ 'no])
(match '(a . b) [`(,x . ,y) (list y x)])
((match-lambda [(list a b) (* a b)]) '(6 7))
(match '(1 2 3) [(list-no-order 3 2 x) x])
(match '(1 (2 (3))) [(list a (list b (list c))) (+ a b c)])
(with-handlers ([exn:misc:match? (lambda (e) (displayln "no match"))]) (match 1 [2 3]))
(match (list 1 2 3 4) [(list-rest a b rest) rest])
(match '#s(pt 1 2) [`#s(pt ,x ,y) (list x y)])
(match 'x [(or 'x 'y) "xy"])
(match '(1 2 . 3) [(list* a b c) c])
