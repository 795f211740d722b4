;; racket/generator. A generator runs its body until yield, and goes on from there at the next call.
;;
;; The way out (`return`) and the way back in (`resume`) are continuations. What the body raises is
;; raised again at the call that ran into it, so that the handlers around that call see it.

(define %generator-type (%make-rtd 'generator #f '#(state step)))
(define (generator? v) (%record-is-a? v %generator-type))
(%set-rtd-apply! %generator-type (lambda (g . arguments) (apply (%record-ref g 1) arguments)))

;; 'fresh, 'suspended, 'running or 'done
(define (generator-state g)
  (if (not (generator? g)) (raise-argument-error 'generator-state "generator?" g))
  (%record-ref g 0))

;; What yields for the generator whose body is running; #f outside of all.
(define %yielder (make-parameter #f))

(define (%make-generator body)
  (define g (%record %generator-type 'fresh #f))
  (define return #f)
  (define resume #f)
  (define (state! state) (%record-set! g 0 state))
  ;; what a call of the generator comes back with is a thunk: values, or an error
  (define (end-with outcome)
    (state! 'done)
    (set! resume outcome)
    (return outcome))
  (define (yielder . vs)
    (apply values
           (call/cc
            (lambda (k)
              (set! resume k)
              (state! 'suspended)
              (return (lambda () (apply values vs)))))))
  (define (start arguments)
    (%catch (lambda (e) (end-with (lambda () (raise e))))
            (lambda ()
              (call-with-values
               (lambda () (parameterize ([%yielder yielder]) (apply body arguments)))
               (lambda vs (end-with (lambda () (apply values vs))))))))
  (define (step . arguments)
    (case (%record-ref g 0)
      ((done) (resume))
      ((running) (raise (make-exn:fail:contract "generator: cannot call a running generator" #f)))
      (else
       (let ((fresh? (eq? (%record-ref g 0) 'fresh)))
         (state! 'running)
         ((call/cc
           (lambda (k)
             (set! return k)
             (if fresh? (start arguments) (resume arguments)))))))))
  (%record-set! g 1 step)
  g)

(define-syntax generator
  (syntax-rules () ((_ formals body ...) (%make-generator (lambda formals body ...)))))
(define-syntax infinite-generator
  (syntax-rules () ((_ body ...) (%make-generator (lambda () (let loop () body ... (loop)))))))

(define (yield . vs)
  (let ((yielder (%yielder)))
    (if yielder
        (apply yielder vs)
        (raise (%with-hint
                (make-exn:fail:contract "yield: must be called in the body of a generator" #f)
                "Write (generator () ... (yield value) ...), or (for ([x (in-generator ... (yield value) ...)]) ...).")))))

(define (sequence->generator sequence)
  (%make-generator (lambda () (for ([x sequence]) (yield x)))))
(define (sequence->repeated-generator sequence)
  (%make-generator (lambda () (let loop () (for ([x sequence]) (yield x)) (loop)))))

;; What a generator yields, for `for`; what its body returns at last is no part of that.
(define-syntax in-generator
  (er-macro-transformer
   (lambda (form rename compare)
     (let ((body (if (and (pair? (cdr form)) (eq? (cadr form) '#:arity)) (cdddr form) (cdr form))))
       `(,(rename '%generator-sequence)
         (,(rename '%make-generator) (,(rename 'lambda) () ,@body)))))))
(define (%generator-sequence g)
  (%pulled (lambda ()
             (let ((vs (call-with-values g list)))
               (if (eq? (generator-state g) 'done) #f (list->vector vs))))
           not
           #t))
