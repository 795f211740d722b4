;; Procedures that make or describe procedures, and the small things of racket/base.

(define (identity x) x)
(define (const x) (lambda ignored x))
(define (const* . xs) (lambda ignored (apply values xs)))
(define (negate f)
  (if (not (procedure? f)) (raise-argument-error 'negate "procedure?" f))
  (case-lambda ((x) (not (f x))) (args (not (apply f args)))))
(define (conjoin . fs)
  (lambda args (let loop ((fs fs) (last #t)) (if (null? fs) last (let ((r (apply (car fs) args))) (and r (loop (cdr fs) r)))))))
(define (disjoin . fs)
  (lambda args (let loop ((fs fs)) (and (pair? fs) (or (apply (car fs) args) (loop (cdr fs)))))))

;; (compose f g h): f after g after h; any number of values between them
(define (compose . fs)
  (for-each (lambda (f) (if (not (procedure? f)) (raise-argument-error 'compose "procedure?" f))) fs)
  (cond ((null? fs) values)
        ((null? (cdr fs)) (car fs))
        (else
         (let ((outer (car fs)) (inner (apply compose (cdr fs))))
           (case-lambda
             ((x) (call-with-values (lambda () (inner x)) outer))
             (args (call-with-values (lambda () (apply inner args)) outer)))))))
(define (compose1 . fs)
  (cond ((null? fs) identity)
        ((null? (cdr fs)) (car fs))
        (else (let ((outer (car fs)) (inner (apply compose1 (cdr fs))))
                (lambda args (outer (apply inner args)))))))

;; Arguments accumulate until the procedure accepts them.
(define (curry f . given) (%curry f given (lambda (given more) (append given more))))
(define (curryr f . given) (%curry f given (lambda (given more) (append more given))))
(define (%curry f given join)
  (if (not (procedure? f)) (raise-argument-error 'curry "procedure?" f))
  (define (more given)
    (lambda args
      (let ((all (join given args)))
        (if (procedure-arity-includes? f (length all))
            (apply f all)
            (if (%arity-exceeded? f (length all))
                (apply f all)
                (more all))))))
  (more given))
(define (%arity-exceeded? f n)
  (let ((most (%arity-most (procedure-arity f)))) (and most (> n most))))
(define (%arity-most arity)
  (cond ((number? arity) arity)
        ((arity-at-least? arity) #f)
        ((null? arity) 0)
        (else (let ((all (map %arity-most arity))) (if (memq #f all) #f (apply max all))))))

(define-syntax thunk (syntax-rules () ((_ body ...) (lambda () body ...))))
(define-syntax thunk* (syntax-rules () ((_ body ...) (lambda ignored body ...))))
(define-syntax λ* (syntax-rules () ((_ . rest) (case-lambda . rest))))

;; (keyword-apply f '(#:k ...) (list v ...) arg ... list)
(define (keyword-apply f keywords values . args)
  (apply f (append (apply list* args)
                   (append-map list keywords values))))
(define (make-keyword-procedure f . plain) (lambda args (%split-keywords args f)))
(define (%split-keywords args f)
  (let loop ((args args) (keywords '()) (values '()) (plain '()))
    (cond ((null? args) (apply f (reverse keywords) (reverse values) (reverse plain)))
          ((keyword? (car args)) (loop (cddr args) (cons (car args) keywords) (cons (cadr args) values) plain))
          (else (loop (cdr args) keywords values (cons (car args) plain))))))

;; ---- arity: (min . max) of the core, max #f where there is none ----
(define-record-type arity-at-least (make-arity-at-least value) arity-at-least? (value arity-at-least-value))
(define (procedure-arity f)
  (let* ((ranges (%arity-ranges f))
         (parts (map (lambda (r)
                       (cond ((not (cdr r)) (make-arity-at-least (car r)))
                             ((= (car r) (cdr r)) (car r))
                             (else (iota (+ 1 (- (cdr r) (car r))) (car r)))))
                     ranges))
         (flat (append-map (lambda (p) (if (list? p) p (list p))) parts)))
    (if (and (pair? flat) (null? (cdr flat))) (car flat) flat)))
(define (procedure-arity-includes? f n [any-keywords? #f])
  (any (lambda (r) (and (<= (car r) n) (or (not (cdr r)) (<= n (cdr r))))) (%arity-ranges f)))
(define (%arity-ranges f)
  (if (not (procedure? f)) (raise-argument-error 'procedure-arity "procedure?" f))
  (or (%procedure-arities f) '((0 . #f))))
(define (procedure-rename f name) (%procedure-named name f))
(define (procedure-reduce-arity f arity) f)
(define (primitive? f) #f)

;; ---- small things ----
(define (void . ignored) (if #f #f))
(define (void? x) (eq? x (void)))
(define (nonempty-list? x) (and (pair? x) (list? x)))
(define true #t)
(define false #f)
(define (false? x) (eq? x #f))
(define-syntax local (syntax-rules () ((_ (definition ...) body ...) (let () definition ... body ...))))
;; set! on several variables; fluid-let is the standard's neighbour
(define-syntax set!-values
  (er-macro-transformer
   (lambda (form rename compare)
     (let* ((fresh (%fresh-namer rename)) (temps (map (lambda (id) (fresh "v")) (cadr form))))
       `(,(rename 'let-values) ((,temps ,(caddr form)))
         ,@(map (lambda (id temp) `(,(rename 'set!) ,id ,temp)) (cadr form) temps)
         (,(rename 'void)))))))

(define-syntax time
  (syntax-rules ()
    ((_ body ...)
     (let ((start (current-inexact-milliseconds)))
       (call-with-values (lambda () body ...)
         (lambda results
           (let ((ms (exact-round (- (current-inexact-milliseconds) start))))
             (printf "cpu time: ~a real time: ~a gc time: 0\n" ms ms)
             (apply values results))))))))

(define (exit . ignored)
  (raise (%with-hint
          (make-exn:fail:contract "exit: a program in this sandbox has no process to leave" #f)
          "To end the program with a result, write (finish value).")))
(define (custodian-shutdown-all . ignored) (void))
(define (collect-garbage . ignored) (void))
(define (current-command-line-arguments) (vector))
(define (getenv . ignored) #f)
(define (runtime-info) '())

;; module-level forms that a script may bring along
(define-syntax provide (syntax-rules () ((_ . rest) (void))))
(define-syntax module+ (er-macro-transformer (lambda (form rename compare) `(,(rename 'begin) ,@(cddr form)))))
(define-syntax begin-for-syntax (syntax-rules () ((_ . rest) (void))))
(define-syntax require (syntax-rules () ((_ . rest) (void))))

;; ---- namespaces: there is one ----
(define (make-base-namespace) (interaction-environment))
(define (make-base-empty-namespace) (interaction-environment))
(define (current-namespace . ignored) (interaction-environment))
(define (namespace-require . ignored) (void))
(define (namespace-anchor->namespace anchor) (interaction-environment))
(define-syntax define-namespace-anchor (syntax-rules () ((_ name) (define name #f))))
