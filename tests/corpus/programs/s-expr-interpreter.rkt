#lang racket
;; A small Scheme interpreter with closures and environments.
(define global-env
  (make-hash (list (cons '+ +) (cons '- -) (cons '* *) (cons '= =) (cons '< <)
                   (cons 'list list) (cons 'cons cons) (cons 'car car) (cons 'cdr cdr) (cons 'null? null?))))
(struct closure (params body env))
(define (lookup x env)
  (cond
    [(null? env) (hash-ref global-env x (λ () (error 'eval "unbound variable: ~a" x)))]
    [(assq x (car env)) => cdr]
    [else (lookup x (cdr env))]))
(define (ev e env)
  (match e
    [(or (? number?) (? string?) (? boolean?)) e]
    [(? symbol? x) (lookup x env)]
    [`(quote ,d) d]
    [`(if ,c ,t ,f) (if (ev c env) (ev t env) (ev f env))]
    [`(lambda ,(list (? symbol? ps) ...) ,body ...) (closure ps body env)]
    [`(let ([,xs ,es] ...) ,body ...)
     (ev `((lambda ,xs ,@body) ,@es) env)]
    [`(define (,f . ,ps) ,body ...)
     (hash-set! global-env f (closure ps body '()))]
    [`(define ,x ,v) (hash-set! global-env x (ev v env))]
    [`(begin ,es ... ,last) (for ([e es]) (ev e env)) (ev last env)]
    [(cons f args) (ap (ev f env) (map (λ (a) (ev a env)) args))]))
(define (ap f args)
  (match f
    [(? procedure?) (apply f args)]
    [(closure ps body env)
     (for/last ([b body])
       (ev b (cons (map cons ps args) env)))]
    [_ (error 'apply "not a function: ~v" f)]))
(define program
  '((define (fact n) (if (= n 0) 1 (* n (fact (- n 1)))))
    (fact 20)
    (define (map f l) (if (null? l) '() (cons (f (car l)) (map f (cdr l)))))
    (map (lambda (x) (* x x)) (list 1 2 3 4))
    (let ([x 2] [y 3]) (+ x y))
    ((lambda (f) (f f 10)) (lambda (self n) (if (< n 2) n (+ (self self (- n 1)) (self self (- n 2))))))
    (begin 1 2 "three")
    (undefined-thing 1)
    (5 5)))
(for ([form program])
  (define v (with-handlers ([exn:fail? (λ (e) (format "ERROR ~a" (exn-message e)))]) (ev form '())))
  (unless (void? v) (printf "~s\n=> ~v\n" form v)))
