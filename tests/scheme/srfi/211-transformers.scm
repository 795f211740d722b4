;; SRFI 139, 211 and 229, and (chibi syntax-case): syntax parameters, transformers of identifiers, procedures with a tag.
(import (srfi 139) (srfi 229) (srfi 211 identifier-syntax) (srfi 211 variable-transformer) (srfi 211 explicit-renaming)
        (srfi 211 with-ellipsis) (only (chibi syntax-case) syntax->datum ellipsis-identifier? syntax-violation))

;; a syntax parameter is another macro wherever the body's expansion comes to it, also by way of other macros
(define-syntax-parameter it (syntax-rules () ((_) 'outside)))
(define-syntax by-way (syntax-rules () ((_) (it))))
(define-syntax with-it (syntax-rules () ((_ value body ...) (syntax-parameterize ((it (syntax-rules () ((_) value)))) body ...))))
(check (list (it) (by-way)) => '(outside outside))
(check (with-it 1 (list (it) (by-way) (with-it 2 (list (it) (by-way))) (it))) => '(1 1 (2 2) 1))
(check (with-it 1 (define (f) (by-way)) (f)) => 1)
(check (let ((it (lambda () 'local))) (with-it 1 (list (it) (by-way)))) => '(local 1))
(define-syntax-parameter abort (syntax-rules () ((_ . _) (syntax-error "abort outside of a loop"))))
(define-syntax forever
  (syntax-rules ()
    ((_ body ...)
     (call/cc (lambda (escape)
                (syntax-parameterize ((abort (syntax-rules () ((_ value (... ...)) (escape value (... ...))))))
                  (let loop () body ... (loop))))))))
(check (let ((i 0)) (forever (set! i (+ i 1)) (when (= i 10) (abort i)))) => 10)
(check-error error-object? (eval '(abort) (interaction-environment)))
(check-error error-object? (eval '(syntax-parameterize ((car (syntax-rules ()))) 1) (interaction-environment)))
(check-error error-object? (eval '(syntax-parameterize ((if (syntax-rules ()))) 1) (interaction-environment)))

;; identifiers that are macros
(check (let-syntax ((two (identifier-syntax (list 1 2)))) two) => '(1 2))
(check (let-syntax ((two (identifier-syntax list))) (two 1 2)) => '(1 2))
(check (let ((x 3))
         (let-syntax ((y (identifier-syntax (_ x) ((set! _ e) (set! x (* 2 e))))))
           (set! y (+ y 2))
           (list x y)))
       => '(10 10))
(check-error error-object? (eval '(let-syntax ((c (identifier-syntax 1))) (set! c 2)) (interaction-environment)))
(check (let-syntax ((foo (make-variable-transformer (er-macro-transformer (lambda (e r c) (list-ref e 2)))))) (set! foo 42)) => 42)
(check (let-syntax ((foo (make-variable-transformer (lambda (e) (if (pair? e) (list 'quote (cdr e)) 1))))) (list foo (foo 2) (set! foo 3)))
       => '(1 (2) (foo 3)))
(check-error error-object? (make-variable-transformer 5))

;; another identifier for the ellipsis
(check (with-ellipsis ::: (syntax->datum (syntax-case '(a) () ((... :::) #'((... b) :::))))) => '((a b)))
(check (with-ellipsis ::: (syntax->datum (syntax-case '(1 2) () ((x :::) #'(x ::: 3))))) => '(1 2 3))
(check (ellipsis-identifier? '...) => #t)
(check-error error-object? (syntax-violation 'me "no" '(me)))

;; procedures with a tag
(define square (lambda/tag 42 (x) (* x x)))
(define other (case-lambda/tag 'both ((x) x) ((x y) (+ x y))))
(check (list (square 3) (other 3) (other 3 4) (map square '(1 2 3))) => '(9 3 7 (1 4 9)))
(check (list (procedure? square) (procedure/tag? square) (procedure/tag? car) (procedure-tag square) (procedure-tag other))
       => '(#t #t #f 42 both))
(check (eqv? square (lambda/tag 42 (x) (* x x))) => #f)
(check-error error-object? (procedure-tag car))
(report)
