#lang racket
;; a small Lisp interpreter
(define (make-env [parent #f]) (cons (make-hash) parent))
(define (env-ref env k)
  (cond [(not env) (error 'eval "unbound: ~a" k)]
        [(hash-has-key? (car env) k) (hash-ref (car env) k)]
        [else (env-ref (cdr env) k)]))
(define (env-def! env k v) (hash-set! (car env) k v))
(define (ev e env)
  (match e
    [(? symbol?) (env-ref env e)]
    [(or (? number?) (? string?) (? boolean?)) e]
    [`(quote ,d) d]
    [`(if ,c ,t ,f) (if (ev c env) (ev t env) (ev f env))]
    [`(define (,f . ,params) ,body ...) (env-def! env f (closure params body env))]
    [`(define ,x ,v) (env-def! env x (ev v env))]
    [`(lambda ,params ,body ...) (closure params body env)]
    [`(let ([,xs ,vs] ...) ,body ...) (ev `((lambda ,xs ,@body) ,@vs) env)]
    [`(begin ,es ...) (for/last ([x es]) (ev x env))]
    [`(,f ,args ...) (ap (ev f env) (map (λ (a) (ev a env)) args))]))
(struct closure (params body env))
(define (ap f args)
  (match f
    [(? procedure?) (apply f args)]
    [(closure ps body env)
     (define new (make-env env))
     (for ([p ps] [a args]) (env-def! new p a))
     (for/last ([b body]) (ev b new))]))
(define global (make-env))
(for ([(k v) (in-hash (hash '+ + '- - '* * '< < '= = 'list list 'car car 'cdr cdr 'cons cons 'null? null?))]) (env-def! global k v))
(define prog '((define (fact n) (if (< n 2) 1 (* n (fact (- n 1)))))
               (define (map f l) (if (null? l) '() (cons (f (car l)) (map f (cdr l)))))
               (map (lambda (x) (* x x)) '(1 2 3))
               (let ([a 1] [b 2]) (+ a b))
               (fact 20)))
(for ([form prog]) (define r (ev form global)) (unless (void? r) (println r)))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (ev '(foo 1) global))
(define (deriv e)
  (match e
    [(? number?) 0] ['x 1]
    [`(+ ,a ,b) `(+ ,(deriv a) ,(deriv b))]
    [`(* ,a ,b) `(+ (* ,(deriv a) ,b) (* ,a ,(deriv b)))]))
(define (simp e)
  (match e
    [`(+ ,a ,b) (match* ((simp a) (simp b)) [(0 b) b] [(a 0) a] [((? number? a) (? number? b)) (+ a b)] [(a b) `(+ ,a ,b)])]
    [`(* ,a ,b) (match* ((simp a) (simp b)) [(0 _) 0] [(_ 0) 0] [(1 b) b] [(a 1) a] [(a b) `(* ,a ,b)])]
    [_ e]))
(simp (deriv '(+ (* x x) (* 3 x))))
(define (rpn s) (for/fold ([st '()] #:result (car st)) ([t (string-split s)]) (match* (t st) [((app string->number (? number? n)) _) (cons n st)] [(op (list* b a rest)) (cons ((hash-ref (hash "+" + "-" - "*" * "/" /) op) a b) rest)])))
(rpn "3 4 + 2 *")
(define ns (make-base-namespace))
(eval '(+ 1 2) ns)
(eval `(let ([x ,(+ 1 1)]) (* x 21)) ns)
