#lang racket
(struct var (name) #:transparent)
(define (walk t s)
  (cond [(and (var? t) (assoc t s)) => (λ (p) (walk (cdr p) s))] [else t]))
(define (unify a b s)
  (and s
       (let ([a (walk a s)] [b (walk b s)])
         (cond [(equal? a b) s]
               [(var? a) (cons (cons a b) s)]
               [(var? b) (cons (cons b a) s)]
               [(and (pair? a) (pair? b)) (unify (cdr a) (cdr b) (unify (car a) (car b) s))]
               [else #f]))))
(define (reify t s)
  (match (walk t s) [(cons a b) (cons (reify a s) (reify b s))] [(var n) n] [x x]))
(define facts '((parent tom bob) (parent tom liz) (parent bob ann) (parent bob pat) (parent pat jim)))
(define rules
  (list (list '(grandparent X Z) '(parent X Y) '(parent Y Z))
        (list '(ancestor X Y) '(parent X Y))
        (list '(ancestor X Z) '(parent X Y) '(ancestor Y Z))))
(define counter 0)
(define (logic-var? x) (and (symbol? x) (char-upper-case? (string-ref (symbol->string x) 0))))
(define (rename rule)
  (set! counter (add1 counter))
  (define n counter)
  (let loop ([t rule])
    (cond [(pair? t) (cons (loop (car t)) (loop (cdr t)))]
          [(logic-var? t) (var (format-symbol* t n))]
          [else t])))
(define (format-symbol* t n) (string->symbol (format "~a~a" t n)))
(define (solve goals s)
  (cond
    [(null? goals) (list s)]
    [else
     (append
      (append* (for/list ([f facts]) (let ([s2 (unify (car goals) f s)]) (if s2 (solve (cdr goals) s2) '()))))
      (append* (for/list ([r rules])
                 (define fresh (rename r))
                 (define s2 (unify (car goals) (car fresh) s))
                 (if s2 (solve (append (cdr fresh) (cdr goals)) s2) '()))))]))
(define Q (var 'Q))
(define (query goal) (map (curry reify Q) (solve (list goal) '())))
(query (list 'parent 'tom Q))
(query (list 'grandparent 'tom Q))
(query (list 'ancestor Q 'jim))
(unify (list 1 Q) '(1 2) '())
(unify '(a b) '(a c) '())
