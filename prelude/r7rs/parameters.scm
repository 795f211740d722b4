;; parameters.scm — make-parameter and parameterize.
;;
;; A parameter is an applicable record. Its binding is looked up in the dynamic state's alist of
;; (parameter . box); outside every parameterize it is the record's own value. What a thread of Racket's sets is seen
;; by it alone: its alist ends with (%thread-values . box), whose box has the alist of what it has set by calls.

(define-values (%parameter-rtd %make-parameter-record %parameter?)
  (let ((rtd (%make-rtd 'parameter #f '#(value converter name))))
    (values rtd
            (lambda (value converter name) (%record rtd value converter name))
            (lambda (x) (%record-is-a? x rtd)))))

(define (%parameter-binding p)
  (let ((params (%state-params (%state))))
    (or (assq p params)
        (let ((own (assq '%thread-values params)))
          (and own (assq p (unbox (cdr own))))))))

(define (%parameter-call p . arguments)
  (cond ((null? arguments) (%parameter-value p))
        ((null? (cdr arguments))
         (let ((binding (%parameter-binding p)) (value (%parameter-convert p (car arguments))))
           (cond (binding (set-box! (cdr binding) value))
                 ((assq '%thread-values (%state-params (%state)))
                  => (lambda (own) (set-box! (cdr own) (cons (cons p (box value)) (unbox (cdr own))))))
                 (else (%record-set! p 0 value)))))
        (else
         (%raise
          (%make-condition
           'exn:fail:contract:arity
           (string-append (if (%record-ref p 2) (%written (%record-ref p 2)) "parameter")
                          ": arity mismatch;\n the expected number of arguments does not match the given number\n"
                          "  expected: at most 1\n  given: " (number->string (length arguments)))
           '())))))

(%set-rtd-apply! %parameter-rtd %parameter-call)
(%set-rtd-printer! %parameter-rtd
                   (lambda (p) (string-append "#<procedure:" (symbol->string (or (%record-ref p 2) 'parameter-procedure)) ">")))

(define (%parameter-convert p value)
  (let ((converter (%record-ref p 1)))
    (if converter (converter value) value)))

(define (%converting-parameter value [converter #f] [name #f])
  (%make-parameter-record (if converter (converter value) value) converter name))
;; The dialect's, as in Racket: the first value is taken as it is. R7RS's converts it, and is what its libraries export.
(define (make-parameter value [converter #f] [name #f])
  (%make-parameter-record value converter name))
(define (make-derived-parameter parameter guard wrap)
  (case-lambda
    (() (wrap (parameter)))
    ((v) (parameter (guard v)))))
(define (parameter? x) (%parameter? x))

;; Bindings: a list of (parameter . value), in order. Every value is converted before any of the
;; new bindings is in force. A procedure that is no parameter of ours but behaves like one
;; (called with no argument it answers, with one it sets) is bound by swapping.
(define (%parameterize bindings thunk)
  (let ((converted
         (map (lambda (b)
                (if (%parameter? (car b))
                    (cons (car b) (box (%parameter-convert (car b) (cdr b))))
                    b))
              bindings)))
    (let loop ((bs converted) (foreign '()) (params '()))
      (cond ((pair? bs)
             (if (%parameter? (caar bs))
                 (loop (cdr bs) foreign (cons (car bs) params))
                 (loop (cdr bs) (cons (car bs) foreign) params)))
            ((null? foreign) (%with-params params thunk))
            (else (%with-params params (lambda () (%swap-bindings foreign thunk))))))))

;; With places of its own for what is set inside, which have the values of now.
(define (%with-own-params thunk)
  (let* ((outer (%dynamic))
         (state (or outer %empty-state))
         (own (assq '%thread-values (%state-params state)))
         (copy (lambda (bindings) (map (lambda (b) (cons (car b) (box (unbox (cdr b))))) bindings))))
    (%set-dynamic! (%with-params-state state
                     (append (copy (filter (lambda (b) (not (eq? b own))) (%state-params state)))
                             (list (cons '%thread-values (box (if own (copy (unbox (cdr own))) '())))))))
    (let ((result (thunk)))
      (%set-dynamic! outer)
      result)))

(define (%with-params params thunk)
  (let* ((outer (%dynamic))
         (state (or outer %empty-state)))
    (%set-dynamic! (%with-params-state state (append params (%state-params state))))
    (let ((result (thunk)))
      (%set-dynamic! outer)
      result)))

(define (%swap-bindings bindings thunk)
  (for-each (lambda (b)
              (unless (procedure? (car b)) (%err-type 'parameterize 0 "parameter" (car b))))
            bindings)
  (let* ((places (map car bindings))
         (values (map cdr bindings))
         (swap (lambda ()
                 (for-each (lambda (place value) (place value))
                           places
                           (let ((old (map (lambda (place) (place)) places)))
                             (let ((new values)) (set! values old) new))))))
    (dynamic-wind swap thunk swap)))

(define-syntax parameterize
  (syntax-rules ()
    ((_ () body ...) (let () body ...))
    ((_ ((param value) ...) body ...)
     (%parameterize (list (cons param value) ...) (lambda () body ...)))))

(define-syntax fluid-let
  (syntax-rules ()
    ((_ ((name value) ...) body ...)
     (%fluid-let (list value ...)
                 (lambda () (list name ...))
                 (lambda (%new) (%fluid-set! %new name ...))
                 (lambda () body ...)))))

(define-syntax %fluid-set!
  (syntax-rules ()
    ((_ new) #t)
    ((_ new name rest ...)
     (begin (set! name (car new))
            (let ((more (cdr new))) (%fluid-set! more rest ...))))))

(define (%fluid-let inside get set body)
  (let ((swap (lambda ()
                (let ((now (get)))
                  (set inside)
                  (set! inside now)))))
    (dynamic-wind swap body swap)))

;; The driver's (runtime/boot.scm): the libraries that are being loaded.
(define %loading (make-parameter '()))
