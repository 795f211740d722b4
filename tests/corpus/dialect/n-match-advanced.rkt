#lang racket
(define (f x)
  (match x
    [(list 'add (? number? a) (? number? b)) (+ a b)]
    [(list-rest 'sum xs) (apply + xs)]
    [(vector a _ ... z) (list a z)]
    [(hash-table ('type t) ('value v)) (list t v)]
    [(and (? string?) (app string-length n)) (* n 10)]
    [(or 'yes 'y #t) 'affirmative]
    [(cons (and h (not (? list?))) t) #:when (number? h) (list 'numhead h t)]
    [`(let ([,name ,val]) ,body) (list 'let name val body)]
    [`(,a . ,d) (list 'pair a d)]
    [(box b) (list 'boxed b)]
    [(? procedure? p) (p 10)]
    [_ 'unknown]))
(for ([x (list '(add 1 2) '(sum 1 2 3) #(1 2 3 4) (hash 'type 'a 'value 5) "four" 'y '(5 6) '(let ([x 1]) (+ x 1)) '(a . b) (box 3) add1 3.5)])
  (println (f x)))
(match-define (list a b c ...) '(1 2 3 4)) (list a b c)
(match-let ([(cons x y) '(1 . 2)] [(vector p q) #(3 4)]) (+ x y p q))
(match-let* ([(list x y) '(1 2)] [z (+ x y)]) z)
((match-lambda [(list x) x] [(list x y) (+ x y)]) '(3 4))
((match-lambda* [(list 'a x) x] [(list x y z) (list z y x)]) 1 2 3)
(match '((name . "Bob") (age . 5)) [(list-no-order (cons 'age a) (cons 'name n)) (format "~a ~a" n a)])
(match* (1 '(2)) [((? odd?) (list x)) x] [(_ _) 'no])
(match '(1 2 3 4 5) [(list a b ... c) (list a b c)])
(match '((1 2) (3 4) (5 6)) [(list (list a b) ...) (list a b)])
(match "2024-05-06" [(pregexp #px"(\\d+)-(\\d+)-(\\d+)" (list _ y m d)) (map string->number (list y m d))])
(with-handlers ([exn:misc:match? (λ (e) (displayln (exn-message e)))]) (match 5 ['six 6]))
(match '(1 2 3) [(list x y) 'two] [(list x y z) #:when (= z 4) 'four] [(list _ _ _) 'three])
(match 'x [(quote x) 'quoted])
(match '(a b) [(list 'a 'c) 1] [(list 'a other) other])
(define-match-expander point (λ (stx) (syntax-case stx () [(_ a b) #'(list 'point a b)])))
(match '(point 1 2) [(point x y) (+ x y)])
(match 7 [(? (between/c 5 10)) 'in] [_ 'out])
(match (list 1 2 2) [(list a b b) 'same] [_ 'diff])
(match '(1 (2 (3))) [(list a (list b (list c))) (list a b c)])
(define/match (fact n) [(0) 1] [(n) (* n (fact (sub1 n)))]) (fact 10)
