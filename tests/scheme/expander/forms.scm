;; Core forms in the shapes that programs use.

;; parameters
(define (opt a [b (+ a 1)] [c (* b 10)]) (list a b c))
(check (opt 1) => '(1 2 20))
(check (opt 1 5) => '(1 5 50))
(check (opt 1 5 6) => '(1 5 6))
(define (opt-rest a [b 2] . r) (list a b r))
(check (list (opt-rest 1) (opt-rest 1 3 4 5)) => '((1 2 ()) (1 3 (4 5))))
(define (chibi-opt a #!optional b) (list a (eqv? b 2)))
(check (list (chibi-opt 1) (chibi-opt 1 2)) => '((1 #f) (1 #t)))
(define (keys a #:x x #:y [y (list a x)] #:z [z y]) (list a x y z))
(check (keys 1 #:x 2) => '(1 2 (1 2) (1 2)))
(check (keys #:z 9 #:x 2 1) => '(1 2 (1 2) 9))
(check (apply keys '(1 #:x 2 #:y 3)) => '(1 2 3 3))
(define (keys-rest #:k [k 0] [a 'a] . r) (list k a r))
(check (list (keys-rest) (keys-rest 1 2 3 #:k 4)) => '((0 a ()) (4 1 (2 3))))
(check ((lambda (#:a [a 1] . r) (list a r)) 2 3 #:a 4) => '(4 (2 3)))
(define ((curried a) b [c 3]) (list a b c))
(check ((curried 1) 2) => '(1 2 3))
(define (((deep a) b) c) (list a b c))
(check (((deep 1) 2) 3) => '(1 2 3))
(define shadowing (lambda (x [y x]) (let ([x 10]) (list x y))))
(check (shadowing 1) => '(10 1))
(define (sets-optional [x 1]) (set! x (+ x 1)) x)
(check (list (sets-optional) (sets-optional 5)) => '(2 6))
(define cl (case-lambda [() 'none] [(a) (list a)] [(a b) (list a b)] [(a . r) (cons 'many r)]))
(check (list (cl) (cl 1) (cl 1 2) (cl 1 2 3)) => '(none (1) (1 2) (many 2 3)))
(check ((named-lambda (f x) (if (= x 0) 'done x)) 0) => 'done)
(check ((λ (x . r) (cons r x)) 1 2 3) => '((2 3) . 1))

;; bodies
(check (let () (define a 1) (set! a 2) (define b (+ a 1)) (list a b)) => '(2 3))
(check (let () (define (ev? n) (if (= n 0) #t (od? (- n 1)))) (define (od? n) (if (= n 0) #f (ev? (- n 1)))) (ev? 100)) => #t)
(check (let ((x 1)) (define y x) (begin (define z (+ y 1)) (define w z)) (list x y z w)) => '(1 1 2 2))
(check (if #t (begin (define x 5) (* x x)) 'no) => 25)
(check (when #t (define x 5) (* x x)) => 25)
(check (cond (#t (define x 6) x)) => 6)
(check (case 1 ((1) (define x 7) x)) => 7)
(check (let () (define-values (a b . c) (values 1 2 3 4)) (list a b c)) => '(1 2 (3 4)))
(check (let () (define-values all (values 1 2)) all) => '(1 2))
(check (let ((x 1)) (begin) x) => 1)
(check (let () 1 2 (define x 3) 4 (define y x) (list x y)) => '(3 3))
(check (let () (define-syntax k (syntax-rules () ((_) (define-it)))) (define-syntax define-it (syntax-rules () ((_) 8))) (k)) => 8)
(check (letrec ((f (lambda (n) (if (= n 0) 1 (* n (f (- n 1))))))) (f 5)) => 120)
(check (letrec* ((a 1) (b (+ a 1))) b) => 2)

;; binding forms
(check (let loop ([i 0] [acc '()]) (if (= i 3) acc (loop (+ i 1) (cons i acc)))) => '(2 1 0))
(check (let ((x 2) (y 3)) (let* ((x 7) (z (+ x y))) (* z x))) => 70)
(check (let loop () 5) => 5)
(check (let ((x 'outer)) (let loop ((y x) (x 'inner)) (list x y))) => '(inner outer))
(check (let-values (((a b) (values 1 2)) ((c) (values 3)) (d (values 4 5))) (list a b c d)) => '(1 2 3 (4 5)))
(check (let ((a 'a) (b 'b)) (let-values (((a b) (values b a)) ((x) a)) (list a b x))) => '(b a a))
(check (let*-values (((a b) (values 1 2)) ((x y) (values b a))) (list a b x y)) => '(1 2 2 1))
(check (receive (a b . r) (values 1 2 3 4) (list a b r)) => '(1 2 (3 4)))
(check (receive all (values) all) => '())
(check (begin0 1 2 3) => 1)
(check (do ((vec (make-vector 5)) (i 0 (+ i 1))) ((= i 5) vec) (vector-set! vec i i)) => '#(0 1 2 3 4))
(check (do ((x '(1 3 5) (cdr x)) (sum 0 (+ sum (car x)))) ((null? x) sum)) => 9)
(check (let ((fs (do ((i 0 (+ i 1)) (fs '() (cons (lambda () i) fs))) ((= i 3) fs)))) (map (lambda (f) (f)) fs)) => '(2 1 0))

;; case
(define (kind x)
  (case x [(1 2 3) 'small] [("s" "t") 'string] [(a b) 'symbol] [((1 2) #(1)) 'compound] [(#\a 1.5 1/2) 'atom] [else 'none]))
(check (map kind (list 2 "t" 'b '(1 2) '#(1) #\a 1.5 1/2 9 "x")) => '(small string symbol compound compound atom atom atom none none))

;; quasiquote
(define x 5)
(define lst '(1 2))
(check `(1 ,x) => '(1 5))
(check `(,@lst . end) => '(1 2 . end))
(check `(a . ,x) => '(a . 5))
(check `(a ,@lst b ,@lst) => '(a 1 2 b 1 2))
(check `#(a ,x ,@lst) => '#(a 5 1 2))
(check `(a `(b ,(c ,(+ 1 2)))) => '(a `(b ,(c 3))))
(check `(a `(b ,(a1 ,x))) => '(a `(b ,(a1 5))))
(check `(1 `,@(2 ,@lst)) => '(1 `,@(2 1 2)))
(check `((,x . 1) (y . ,(* 2 x))) => '((5 . 1) (y . 10)))
(check `(x #(y ,(list x))) => '(x #(y (5))))
(check (quasiquote (1 (unquote (+ 1 1)))) => '(1 2))
(check `(0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9
          0 1 2 3 4 5 6 7 8 9 ,x 1 2 3)
       => '(0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9
            0 1 2 3 4 5 6 7 8 9 5 1 2 3))

;; procedural macros
(define-syntax er-swap!
  (er-macro-transformer
   (lambda (form rename compare)
     `(,(rename 'let) ((,(rename 'tmp) ,(cadr form)))
       (,(rename 'set!) ,(cadr form) ,(caddr form))
       (,(rename 'set!) ,(caddr form) ,(rename 'tmp))))))
(check (let ((tmp 1) (let 2)) (er-swap! tmp let) (list tmp let)) => '(2 1))
(define-syntax er-cond
  (er-macro-transformer
   (lambda (form rename compare)
     (if (compare (cadr form) (rename 'else)) ''else ''other))))
(check (list (er-cond else) (let ((else 1)) (er-cond else))) => '(else other))
(define-syntax sc-swap!
  (sc-macro-transformer
   (lambda (form env)
     (let ((a (make-syntactic-closure env '() (cadr form))) (b (close-syntax (caddr form) env)))
       `(let ((tmp ,a)) (set! ,a ,b) (set! ,b tmp))))))
(check (let ((tmp 1) (set! 2)) (sc-swap! tmp set!) (list tmp set!)) => '(2 1))
(define-syntax sc-loop
  (sc-macro-transformer
   (lambda (form env)
     `(call-with-current-continuation
       (lambda (exit)
         (let f () ,@(map (lambda (e) (make-syntactic-closure env '(exit) e)) (cdr form)) (f)))))))
(check (let ((i 0)) (sc-loop (set! i (+ i 1)) (if (> i 5) (exit i)))) => 6)
(define-syntax sc-define
  (sc-macro-transformer (lambda (form env) `(define ,(close-syntax (cadr form) env) ,(close-syntax (caddr form) env)))))
(sc-define sc-made 11)
(check sc-made => 11)
(check (let () (sc-define inner 12) (+ inner 1)) => 13)
(define-syntax rsc-swap!
  (rsc-macro-transformer
   (lambda (form env)
     (let ((a (cadr form)) (b (caddr form)) (r (lambda (s) (make-syntactic-closure env '() s))))
       (let ((tmp (r 'tmp)))
         `(,(r 'let) ((,tmp ,a)) (,(r 'set!) ,a ,b) (,(r 'set!) ,b ,tmp)))))))
(check (let ((tmp 1) (y 2)) (rsc-swap! tmp y) (list tmp y)) => '(2 1))
(check (let () (define-syntax ten (er-macro-transformer (lambda (f r c) 10))) (+ (ten) 1)) => 11)

;; cond-expand
(check (cond-expand (r7rs 'yes) (else 'no)) => 'yes)
(check (cond-expand ((and chibi (not nothing)) 1) (else 2)) => 1)
(check (cond-expand ((or nothing full-unicode) 1) (else 2)) => 1)
(check (cond-expand (nothing 1) (else 2)) => 2)
(check (let () (cond-expand (r7rs (define ce 1))) ce) => 1)

(report)
