#lang racket
(define (free-vars e)
  (match e
    [(? symbol? x) (list x)]
    [`(λ (,x) ,b) (remove x (free-vars b))]
    [`(,f ,a) (remove-duplicates (append (free-vars f) (free-vars a)))]))
(define counter 0)
(define (fresh x) (set! counter (add1 counter)) (string->symbol (format "~a_~a" x counter)))
(define (subst e x v)
  (match e
    [(? symbol? y) (if (eq? x y) v y)]
    [`(λ (,y) ,b)
     (cond [(eq? x y) e]
           [(memq y (free-vars v)) (let ([z (fresh y)]) `(λ (,z) ,(subst (subst b y z) x v)))]
           [else `(λ (,y) ,(subst b x v))])]
    [`(,f ,a) (list (subst f x v) (subst a x v))]))
(define (step e)
  (match e
    [`((λ (,x) ,b) ,a) (subst b x a)]
    [`(,f ,a) (cond [(step f) => (λ (f2) (list f2 a))] [(step a) => (λ (a2) (list f a2))] [else #f])]
    [`(λ (,x) ,b) (let ([b2 (step b)]) (and b2 `(λ (,x) ,b2)))]
    [_ #f]))
(define (normalize e [fuel 100]) (let loop ([e e] [n 0]) (define next (and (< n fuel) (step e))) (if next (loop next (add1 n)) (values e n))))
(define I '(λ (x) x))
(define K '(λ (x) (λ (y) x)))
(define S '(λ (f) (λ (g) (λ (x) ((f x) (g x))))))
(normalize `((,K a) b))
(normalize `(((,S ,K) ,K) z))
(free-vars '(λ (x) (x (y z))))
(subst '(λ (y) (x y)) 'x 'y)
(define omega '((λ (x) (x x)) (λ (x) (x x))))
(let-values ([(e n) (normalize omega 10)]) n)
(define (church n) `(λ (f) (λ (x) ,(for/fold ([b 'x]) ([_ n]) `(f ,b)))))
(define plus '(λ (m) (λ (n) (λ (f) (λ (x) ((m f) ((n f) x)))))))
(define-values (five steps) (normalize `((,plus ,(church 2)) ,(church 3))))
five
steps
(define (->string e) (match e [(? symbol? x) (~a x)] [`(λ (,x) ,b) (format "\\~a.~a" x (->string b))] [`(,f ,a) (format "(~a ~a)" (->string f) (->string a))]))
(displayln (->string five))
(define (de-bruijn e [env '()]) (match e [(? symbol? x) (or (index-of env x) x)] [`(λ (,x) ,b) (list 'λ (de-bruijn b (cons x env)))] [`(,f ,a) (list (de-bruijn f env) (de-bruijn a env))]))
(de-bruijn S)
(de-bruijn '(λ (x) (y x)))
