#lang racket
(define (simplify e)
  (match e
    [(list '+ a b) (match* ((simplify a) (simplify b))
       [(0 b) b] [(a 0) a] [((? number? a) (? number? b)) (+ a b)] [(a b) (list '+ a b)])]
    [(list '* a b) (match* ((simplify a) (simplify b))
       [(0 _) 0] [(_ 0) 0] [(1 b) b] [(a 1) a] [((? number? a) (? number? b)) (* a b)] [(a b) (list '* a b)])]
    [(list '^ a n) (match* ((simplify a) n) [(_ 0) 1] [(a 1) a] [(a n) (list '^ a n)])]
    [(list f a) (list f (simplify a))]
    [_ e]))
(define (d e x)
  (match e
    [(? number?) 0]
    [(? symbol? y) (if (eq? x y) 1 0)]
    [`(+ ,a ,b) `(+ ,(d a x) ,(d b x))]
    [`(* ,a ,b) `(+ (* ,(d a x) ,b) (* ,a ,(d b x)))]
    [`(^ ,a ,(? number? n)) `(* (* ,n (^ ,a ,(sub1 n))) ,(d a x))]
    [`(sin ,a) `(* (cos ,a) ,(d a x))]
    [`(exp ,a) `(* (exp ,a) ,(d a x))]))
(define (infix e)
  (match e
    [(list (and op (or '+ '* '^)) a b) (format "(~a ~a ~a)" (infix a) op (infix b))]
    [(list f a) (format "~a(~a)" f (infix a))]
    [x (~a x)]))
(for ([e '((* x x) (+ (^ x 3) (* 2 x)) (sin (* 2 x)) (* x (exp x)) 7 y)])
  (define de (simplify (d e 'x)))
  (printf "d/dx ~a = ~a\n" (infix e) (infix de)))
(simplify (d '(* (+ x 1) (+ x 2)) 'x))
(define ns (make-base-namespace))
(eval '(let ([x 3]) (+ (* x x) 1)) ns)
(define (eval-at e v) (eval `(let ([x ,v] [^ expt]) ,e) ns))
(eval-at '(+ (^ x 2) (* 3 x)) 4)
`(1 ,@(map add1 '(1 2)) ,(+ 1 1) (nested ,(* 2 3)))
`#(a ,(+ 1 2))
'(quote x)
''x
'`(a ,b ,@c)
(quasiquote (x (unquote (+ 1 2))))
