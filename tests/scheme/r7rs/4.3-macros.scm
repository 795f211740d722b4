;; R7RS 4.3: macros.

(check (let-syntax ((given-that (syntax-rules () ((_ test stmt1 stmt2 ...) (if test (begin stmt1 stmt2 ...))))))
         (let ((if #t)) (given-that if (set! if 'now)) if))
       => 'now)
(check (let ((x 'outer))
         (let-syntax ((m (syntax-rules () ((m) x))))
           (let ((x 'inner)) (m))))
       => 'outer)
(check (letrec-syntax
           ((my-or (syntax-rules ()
                     ((my-or) #f)
                     ((my-or e) e)
                     ((my-or e1 e2 ...) (let ((temp e1)) (if temp temp (my-or e2 ...)))))))
         (let ((x #f) (y 7) (temp 8) (let odd?) (if even?))
           (my-or x (let temp) (if y) y)))
       => 7)

;; ellipses: nested, after, escaped, custom, in vectors, improper
(define-syntax my-let
  (syntax-rules () ((_ ((name value) ...) body ...) ((lambda (name ...) body ...) value ...))))
(check (my-let ((a 1) (b 2)) (+ a b)) => 3)
(define-syntax flatten-pairs
  (syntax-rules () ((_ (a b ...) ...) '(a ... (b ... ) ...))))
(check (flatten-pairs (1 2 3) (4) (5 6)) => '(1 4 5 (2 3) () (6)))
(define-syntax all-flat
  (syntax-rules () ((_ (a ...) ...) '(a ... ...))))
(check (all-flat (1 2) (3) () (4 5)) => '(1 2 3 4 5))
(define-syntax last-of
  (syntax-rules () ((_ a ... z) 'z)))
(check (last-of 1 2 3) => 3)
(define-syntax middle
  (syntax-rules () ((_ a b ... y z) '(a (b ...) y z))))
(check (list (middle 1 2 3) (middle 1 2 3 4 5)) => '((1 () 2 3) (1 (2 3) 4 5)))
(define-syntax dotted
  (syntax-rules () ((_ a ... . rest) '((a ...) rest))))
(check (dotted 1 2 . 3) => '((1 2) 3))
(define-syntax vector-pattern
  (syntax-rules () ((_ #(a b ...)) (list a '(b ...)))))
(check (vector-pattern #(1 2 3)) => '(1 (2 3)))
(define-syntax vector-template
  (syntax-rules () ((_ a ...) #(start a ... end))))
(check (vector-template 1 2) => #(start 1 2 end))
(define-syntax be-like-begin
  (syntax-rules ()
    ((be-like-begin name)
     (define-syntax name (syntax-rules () ((name expr (... ...)) (begin expr (... ...))))))))
(be-like-begin sequence)
(check (sequence 1 2 3 4) => 4)
(define-syntax custom
  (syntax-rules ::: () ((_ (a :::) ...) (list 'a ::: '...))))     ; ... is a plain name here
(check (custom (1 2) 3) => '(1 2 3))
(define-syntax literal-dots
  (syntax-rules () ((_ a) '(a (... ...)))))
(check (literal-dots x) => '(x ...))
(define-syntax underscore
  (syntax-rules () ((_ _ b _) 'b)))
(check (underscore 1 2 3) => 2)

;; literals compare by binding
(define-syntax arrow
  (syntax-rules (=>) ((_ a => b) 'arrow) ((_ a b c) 'three)))
(check (arrow 1 => 2) => 'arrow)
(check (let ((=> 1)) (arrow 1 => 2)) => 'three)
(define-syntax else-or
  (syntax-rules (else) ((_ else) 'else) ((_ x) 'other)))
(check (list (else-or else) (else-or x)) => '(else other))
(check (let ((else 1)) (else-or else)) => 'other)
(define-syntax number-or-string
  (syntax-rules () ((_ 1) 'one) ((_ "s") 'string) ((_ #\c) 'char) ((_ x) 'else)))
(check (list (number-or-string 1) (number-or-string "s") (number-or-string #\c) (number-or-string 2))
       => '(one string char else))

;; hygiene
(define-syntax swap!
  (syntax-rules () ((swap! a b) (let ((tmp a)) (set! a b) (set! b tmp)))))
(check (let ((tmp 1) (other 2)) (swap! tmp other) (list tmp other)) => '(2 1))
(check (let ((x 1) (y 2))
         (define-syntax swap-here!
           (syntax-rules () ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))
         (swap-here! x y)
         (list x y))
       => '(2 1))
(define-syntax while
  (syntax-rules ()
    ((_ test body ...) (let loop () (when test body ... (loop))))))
(check (let ((loop 0)) (while (< loop 5) (set! loop (+ loop 1))) loop) => 5)
(define-syntax my-if
  (syntax-rules () ((_ c a b) (cond (c a) (else b)))))
(check (let ((else #f) (cond list)) (my-if #f 1 2)) => 2)
(define-syntax define-two
  (syntax-rules () ((_ a b v) (begin (define a v) (define b v)))))
(define-two one-name other-name 9)
(check (list one-name other-name) => '(9 9))
(check (let () (define-two p q 3) (+ p q)) => 6)
(define-syntax define-getter
  (syntax-rules () ((_ name value) (begin (define hidden value) (define (name) hidden)))))
(check (let () (define-getter get-a 1) (define-getter get-b 2) (list (get-a) (get-b))) => '(1 2))
(define-syntax kons (syntax-rules () ((_ a b) (cons a b))))
(check (let ((cons list)) (kons 1 2)) => '(1 . 2))
(check (let loop ((i 0)) (define-syntax inc (syntax-rules () ((_ x) (+ x 1)))) (if (< i 3) (loop (inc i)) i)) => 3)

;; recursion, macros that make macros
(define-syntax my-or
  (syntax-rules () ((_) #f) ((_ e) e) ((_ e1 e2 ...) (let ((t e1)) (if t t (my-or e2 ...))))))
(check (let ((t 5)) (my-or #f t)) => 5)
(define-syntax define-alias
  (syntax-rules () ((_ new old) (define-syntax new (syntax-rules () ((_ . args) (old . args)))))))
(define-alias my-list list)
(check (my-list 1 2 3) => '(1 2 3))
(define-syntax my-cond
  (syntax-rules (else)
    ((_ (else e ...)) (begin e ...))
    ((_ (c e ...) clause ...) (if c (begin e ...) (my-cond clause ...)))))
(check (my-cond (#f 1) ((= 1 1) 2) (else 3)) => 2)
(define-syntax reversed
  (syntax-rules () ((_ () acc) 'acc) ((_ (a . rest) (b ...)) (reversed rest (a b ...)))))
(check (reversed (1 2 3) ()) => '(3 2 1))

;; scope of let-syntax and letrec-syntax
(check (let ((x 1)) (let-syntax ((foo (syntax-rules () ((_ y) (let ((x 2)) y))))) (foo x))) => 1)
(check (let-syntax () 5) => 5)
(check (let ((f (lambda (x) (+ x 1))))
         (let-syntax ((f (syntax-rules () ((_ x) x))) (g (syntax-rules () ((_ x) (f x)))))
           (list (f 1) (g 1))))
       => '(1 2))
(check (let ((f (lambda (x) (+ x 1))))
         (letrec-syntax ((f (syntax-rules () ((_ x) x))) (g (syntax-rules () ((_ x) (f x)))))
           (list (f 1) (g 1))))
       => '(1 1))

;; er-, sc- and rsc-macro-transformer
(define-syntax er-swap!
  (er-macro-transformer
   (lambda (form rename compare)
     (let ((a (cadr form)) (b (caddr form)))
       `(,(rename 'let) ((,(rename 'tmp) ,a)) (,(rename 'set!) ,a ,b) (,(rename 'set!) ,b ,(rename 'tmp)))))))
(check (let ((tmp 1) (y 2)) (er-swap! tmp y) (list tmp y)) => '(2 1))
(define-syntax sc-swap!
  (sc-macro-transformer
   (lambda (form env)
     (let ((a (make-syntactic-closure env '() (cadr form)))
           (b (make-syntactic-closure env '() (caddr form))))
       `(let ((tmp ,a)) (set! ,a ,b) (set! ,b tmp))))))
(check (let ((tmp 1) (y 2)) (sc-swap! tmp y) (list tmp y)) => '(2 1))
(define-syntax rsc-if-not
  (rsc-macro-transformer
   (lambda (form env)
     (list (make-syntactic-closure env '() 'if) (cadr form) #f (caddr form)))))
(check (let ((if list)) (rsc-if-not #f 1)) => 1)
(define-syntax anaphoric
  (er-macro-transformer
   (lambda (form rename compare)
     `(,(rename 'let) ((it ,(cadr form))) ,(caddr form)))))
(check (anaphoric 5 (* it 2)) => 10)

(check-error error-object? (eval '(swap! 1) (interaction-environment)))
(check-error error-object? (eval '(syntax-error "no" 1) (interaction-environment)))

(report)
