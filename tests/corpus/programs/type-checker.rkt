#lang racket
(define-syntax-rule (assert-type e expected) (let ([t (type-of e '())]) (printf "~s : ~s~a\n" e t (if (equal? t expected) "" " MISMATCH"))))
(struct exn:type exn:fail ())
(define (type-error fmt . args) (raise (exn:type (apply format fmt args) (current-continuation-marks))))
(define (type-of e env)
  (match e
    [(? exact-integer?) 'int]
    [(? boolean?) 'bool]
    [(? string?) 'str]
    [(? symbol? x) (cond [(assq x env) => cdr] [else (type-error "unbound ~a" x)])]
    [`(λ ([,x : ,t]) ,b) `(,t -> ,(type-of b (cons (cons x t) env)))]
    [`(if ,c ,a ,b)
     (unless (eq? 'bool (type-of c env)) (type-error "condition must be bool in ~s" e))
     (let ([ta (type-of a env)] [tb (type-of b env)])
       (if (equal? ta tb) ta (type-error "branches differ: ~s vs ~s" ta tb)))]
    [`(let ([,x ,v]) ,b) (type-of b (cons (cons x (type-of v env)) env))]
    [(list (and op (or '+ '- '*)) a b) (expect 'int a env) (expect 'int b env) 'int]
    [(list (or '= '<) a b) (expect 'int a env) (expect 'int b env) 'bool]
    [(list f a)
     (match (type-of f env)
       [`(,in -> ,out) (expect in a env) out]
       [t (type-error "not a function: ~s" t)])]))
(define (expect t e env)
  (define got (type-of e env))
  (unless (equal? t got) (type-error "expected ~s, got ~s in ~s" t got e)))
(assert-type '(+ 1 2) 'int)
(assert-type '(λ ([x : int]) (< x 10)) '(int -> bool))
(assert-type '(let ([f (λ ([x : int]) (* x x))]) (f 5)) 'int)
(assert-type '(if (= 1 2) "a" "b") 'str)
(for ([bad '((+ 1 #t) (if 1 2 3) (if #t 1 "x") (1 2) y)])
  (with-handlers ([exn:type? (λ (e) (printf "type error: ~a\n" (exn-message e)))])
    (type-of bad '())))
(with-handlers ([exn:fail? (λ (e) (list 'caught (exn:type? e)))]) (type-error "x"))
'(λ (x) x)
'(int -> bool)
(format "~s" '(λ ([x : int]) "s"))
