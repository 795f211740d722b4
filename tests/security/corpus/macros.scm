;;; a macro that expands into itself
;;; => error exn:fail:syntax "does not end"
(define-syntax m (syntax-rules () ((_ x) (m x)))) (m 1)

;;; a macro that expands into twice itself
;;; => limit fuel
(define-syntax m (syntax-rules () ((_ x) (begin (m x) (m x))))) (m 1)

;;; a macro whose expansion doubles with each of its arguments
;;; => limit fuel
(define-syntax m (syntax-rules () ((_) '()) ((_ a b ...) (list (m b ...) (m b ...)))))
(m 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30)

;;; a macro whose argument grows with each step
;;; => error exn:fail:syntax "takes or becomes more than"
;;; limits: fuel=200000000
(define-syntax m (syntax-rules () ((_ x ...) (m x ... x ... 1)))) (m 1)

;;; two macros that expand into each other
;;; => error exn:fail:syntax "does not end"
(define-syntax a (syntax-rules () ((_) (b)))) (define-syntax b (syntax-rules () ((_) (a)))) (a)

;;; a pattern with ellipses in each other
;;; => value "((1 2) (3))"
(define-syntax m (syntax-rules () ((_ ((a ...) ...)) '((a ...) ...)))) (m ((1 2) (3)))

;;; a pattern of ellipses that would have to be tried in every way
;;; => error exn:fail:syntax "two ellipses"
(define-syntax m (syntax-rules () ((_ a ... b ... c ...) 1))) (m 1 2 3)

;;; an ellipsis at another depth than its pattern's
;;; => error exn:fail:syntax "..."
(define-syntax m (syntax-rules () ((_ a ...) (list a)))) (m 1 2)

;;; a transformer that loops
;;; => limit fuel
(define-syntax m (er-macro-transformer (lambda (form rename compare) (let loop () (loop))))) (m)

;;; a transformer that raises
;;; => error exn:fail "in the transformer"
(define-syntax m (er-macro-transformer (lambda (form rename compare) (error "in the transformer")))) (m)

;;; a transformer that gives an object: it is a constant
;;; => value "#t"
(define-syntax m (er-macro-transformer (lambda (form rename compare) (current-output-port)))) (port? (m))

;;; a transformer that gives a list that contains itself
;;; => error exn:fail:syntax "proper list"
(define-syntax m (er-macro-transformer (lambda (form rename compare) (let ((l (list 'list 1))) (set-cdr! (cdr l) l) l)))) (m)

;;; a transformer that leaves by a continuation of the program
;;; => value "left"
(let/ec k (eval `(let () (define-syntax m (er-macro-transformer (lambda (f r c) (,k 'left)))) (m))))

;;; a transformer that is no procedure
;;; => error exn:fail:syntax "m"
(define-syntax m 5) (m)

;;; a keyword used as a variable
;;; => error exn:fail:syntax "if"
(list if)

;;; a name defined twice in a body
;;; => error exn:fail:syntax "x"
(let () (define x 1) (define x 2) x)

;;; a binding of a name to itself
;;; => error exn:fail:contract:variable "before its definition"
(letrec ((x x)) x)

;;; a definition where none may stand
;;; => error exn:fail:syntax "define"
(list (define x 1))

;;; a lambda whose parameters are the same
;;; => error exn:fail:syntax "x"
(lambda (x x) x)

;;; parameters that are no names
;;; => error exn:fail:syntax "a parameter must be a name"
(lambda (1 2) 3)

;;; ten thousand clauses
;;; => value "9999"
(eval `(let ((x 9999)) (cond ,@(map (lambda (i) `((= x ,i) ,i)) (range 10000)))))

;;; a case of ten thousand
;;; => value "yes"
(eval `(case 9999 (,(range 10000) 'yes) (else 'no)))

;;; a macro that defines macros that define macros
;;; => value "3"
(define-syntax a (syntax-rules () ((_ n v) (begin (define-syntax n (syntax-rules () ((_ m) (define-syntax m (syntax-rules () ((_) v)))))) )))) (a b 3) (b c) (c)

;;; a program that is a list that contains itself
;;; => error exn:fail:syntax "proper list"
(let ((l (list '+ 1))) (set-cdr! (cdr l) l) (eval l))

;;; a program that is no program
;;; => error exn:fail:syntax "proper list"
(eval (list 1 . (2 . 3)))

;;; evaluating in an environment that is none
;;; => error exn:fail:contract "environment"
(eval '(+ 1 2) 'nowhere)
