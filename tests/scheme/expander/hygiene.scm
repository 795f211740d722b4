;; What an identifier means: macros neither capture names of the text they are used in, nor lose
;; their own.

;; the temporary of a macro
(define-syntax my-or
  (syntax-rules () ((_) #f) ((_ e) e) ((_ e r ...) (let ((t e)) (if t t (my-or r ...))))))
(check (let ((t 5)) (my-or #f t)) => 5)
(check (let ((if list) (let list)) (my-or #f 7)) => 7)
(define-syntax swap! (syntax-rules () ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))
(check (let ((tmp 1) (other 2)) (swap! tmp other) (list tmp other)) => '(2 1))
(check (let ((x 1) (y 2)) (let ((swap! list)) (swap! x y))) => '(1 2))

;; free names of a macro mean what they mean where it was written
(check (let ((x 'outer))
         (let-syntax ((m (syntax-rules () ((_) x))))
           (let ((x 'inner)) (m))))
       => 'outer)
(check (let ((x 'outer))
         (define-syntax m (syntax-rules () ((_ a) (list a x))))
         (let ((x 'inner)) (m x)))
       => '(inner outer))
(define-syntax be-like-begin
  (syntax-rules () ((_ name) (define-syntax name (syntax-rules () ((_ expr (... ...)) (begin expr (... ...))))))))
(be-like-begin sequence)
(check (sequence 1 2 3 4) => 4)
(check (let ((=> #f)) (cond (#t => 'ok))) => 'ok)
(check (let ((else #f)) (cond (#f 1) (else 2) (#t 3))) => 3)
(check (let ((else #t)) (cond (else 'shadowed))) => 'shadowed)
(check (let ((quote -)) '5) => -5)
(check (let ((define list)) (define 1 2)) => '(1 2))
(check (let ((begin list)) (begin 1 2)) => '(1 2))
(check (let ((unquote list)) `(1 ,2)) => '(1 (unquote 2)))
(check (let ((lambda list) (x 1)) (lambda x x)) => '(1 1))

;; literals are compared by what they mean
(define-syntax is-else (syntax-rules (else) ((_ else) #t) ((_ x) #f)))
(check (is-else else) => #t)
(check (let ((else 1)) (is-else else)) => #f)
(define-syntax arrow (syntax-rules (-->) ((_ a --> b) (cons a b)) ((_ a b c) (list a b c))))
(check (arrow 1 --> 2) => '(1 . 2))
(check (let ((--> 0)) (arrow 1 --> 2)) => '(1 0 2))

;; definitions that macros make
(define-syntax define-both (syntax-rules () ((_ a b v) (begin (define a v) (define b a)))))
(define-both first-one second-one 9)
(check (list first-one second-one) => '(9 9))
(check (let () (define-both p q 3) (+ p q)) => 6)
(define-syntax counter
  (syntax-rules () ((_ name) (begin (define n 0) (define (name) (set! n (+ n 1)) n)))))
(check (let ((n 100)) (counter next!) (next!) (list (next!) n)) => '(2 100))
(define-syntax jabberwocky
  (syntax-rules ()
    ((_ hatter)
     (begin
       (define march-hare 42)
       (define-syntax hatter (syntax-rules () ((_) march-hare)))))))
(jabberwocky mad-hatter)
(check (mad-hatter) => 42)
(check (let () (jabberwocky tea) (tea)) => 42)
(define-syntax ffoo (syntax-rules () ((_ body) (let () (define tmp 1) (define (f x) body) (list tmp (f 2))))))
(check (let ((tmp 5)) (ffoo (+ tmp 1))) => '(1 6))

;; macros that write macros
(define-syntax make-adder
  (syntax-rules () ((_ name n) (define-syntax name (syntax-rules () ((_ x) (+ x n)))))))
(make-adder add-ten 10)
(check (let ((+ -)) (add-ten 5)) => 15)
(check (let ((n 1)) (make-adder add-n n) (let ((n 100)) (add-n 5))) => 6)
(define-syntax my-let
  (syntax-rules () ((_ ((n v) ...) . body) ((lambda (n ...) . body) v ...))))
(check (my-let ((a 1) (b 2)) (define c 3) (list a b c)) => '(1 2 3))
(define-syntax my-let*
  (syntax-rules () ((_ () . body) (let () . body)) ((_ (b . r) . body) (let (b) (my-let* r . body)))))
(check (my-let* ((x 1) (x (+ x 1)) (y (* x 10))) (list x y)) => '(2 20))
(define-syntax loop-until
  (syntax-rules () ((_ var init test step) (let loop ((var init)) (if test var (loop step))))))
(check (let ((loop 3)) (loop-until x 0 (> x loop) (+ x 1))) => 4)
;; an alias of an alias
(define-syntax m1 (syntax-rules () ((_ x) (let ((t 1)) (m2 x t)))))
(define-syntax m2 (syntax-rules () ((_ x y) (let ((t 2)) (list x y t)))))
(check (let ((t 0)) (m1 t)) => '(0 1 2))
(define-syntax while
  (syntax-rules () ((_ c b ...) (let loop () (when c b ... (loop))))))
(check (let ((i 0) (loop 'mine)) (while (< i 3) (set! i (+ i 1))) (list i loop)) => '(3 mine))

;; let-syntax and letrec-syntax
(check (let ((a 1)) (let-syntax ((f (syntax-rules () ((_) a)))) (let ((a 2)) (f)))) => 1)
(check (letrec-syntax ((even (syntax-rules () ((_) #t) ((_ x . r) (odd . r))))
                       (odd (syntax-rules () ((_) #f) ((_ x . r) (even . r)))))
         (list (even 1 2 3 4) (even 1)))
       => '(#t #f))
(check (let-syntax ((foo (syntax-rules () ((_ x) (* x 2)))))
         (let-syntax ((foo (syntax-rules () ((_ x) (+ 1 (foo x))))))
           (foo 5)))
       => 11)
(check (let ((x 1)) (let-syntax ((foo (syntax-rules () ((_ y) (let-syntax ((bar (syntax-rules () ((_) (let ((x 2)) y))))) (bar)))))) (foo x))) => 1)
;; another name for a keyword
(define-syntax my-if if)
(check (my-if #t 1 2) => 1)
(check (let () (define-syntax fn lambda) ((fn (x) (* x x)) 4)) => 16)

;; a binding shadows a macro
(define-syntax twice (syntax-rules () ((_ x) (* 2 x))))
(check (let ((twice list)) (twice 3)) => '(3))
(check (let () (define (twice x) (list x x)) (twice 3)) => '(3 3))
(check ((lambda (twice) (twice 4)) -) => -4)

;; records that macros define
(define-syntax define-point
  (syntax-rules () ((_ name make x y) (define-record-type name (make x y) name? (x get-x) (y get-y)))))

;; names that are put together from one of a template's own are that template's: a structure within a macro
(define-syntax-rule (own-structure) (let () (struct inner (x y) #:mutable) (define p (inner 1 2)) (set-inner-x! p 5) (list (inner? p) (inner-x p))))
(check (own-structure) => '(#t 5))
(define (inner-x p) 'outside)
(define-syntax-rule (with-outer v) (let () (struct inner (x)) (list v (inner-x (inner 1)))))
(check (with-outer (inner-x 1)) => '(outside 1))
(define-syntax-rule (making name) (define-syntax-rule (name) (let () (struct deep (z)) (deep-z (deep 9)))))
(making made)
(check (made) => 9)
(define-syntax (procedural stx) (syntax-case stx () ((_ n) #'(let () (struct n (a)) (struct own (b)) (list (n-a (n 3)) (own-b (own 2)))))))
(check (with-handlers ((exn:fail? (lambda (e) 'unbound))) (eval '(procedural given) (interaction-environment))) => 'unbound)
(define-syntax (formatted stx) (syntax-case stx () ((_ n) (with-syntax ((get (format-id #'n "~a-a" #'n))) #'(let () (struct n (a)) (get (n 3)))))))
(check (formatted given) => 3)
(define-syntax record-inside
  (er-macro-transformer
   (lambda (form rename compare)
     `(,(rename 'let) () (,(rename 'struct) ,(rename 'seen) (,(rename 'f))) (,(rename 'seen-f) (,(rename 'seen) 4))))))
(check (record-inside) => 4)

(report)
