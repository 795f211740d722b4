;; promises.scm — delay, delay-force, force, in constant space for iterative laziness.
;;
;; A promise holds one box, shared by all promises that a chain of delay-force made equal:
;; (done? . value-or-thunk). That sharing is what lets force run a long chain as a loop.

(define (%new-promise done? value) (%make-promise (cons done? value)))

(define (make-promise value)
  (if (promise? value) value (%new-promise #t value)))

(define-syntax delay-force
  (syntax-rules ()
    ((_ expression) (%new-promise #f (lambda () expression)))))

;; Racket's delay takes a body.
(define-syntax delay
  (syntax-rules ()
    ((_ expression) (%new-promise #f (lambda () (%new-promise #t expression))))
    ((_ expression ... last)
     (%new-promise #f (lambda () expression ... (%new-promise #t last))))))

(define-syntax lazy
  (syntax-rules ()
    ((_ expression) (delay-force expression))))

(define (force promise)
  (if (promise? promise)
      (%force promise)
      promise))

(define (%force promise)
  (let ((content (%promise-content promise)))
    (if (car content)
        (cdr content)
        (let ((next ((cdr content))))
          ;; The thunk may have forced this very promise: the first value stays.
          (let ((content (%promise-content promise)))
            (unless (car content)
              (if (promise? next)
                  (let ((inner (%promise-content next)))
                    (set-car! content (car inner))
                    (set-cdr! content (cdr inner))
                    (%set-promise-content! next content))
                  (begin (set-car! content #t) (set-cdr! content next)))))
          (%force promise)))))

(define (promise-forced? promise) (car (%promise-content promise)))

(define-syntax cons-stream
  (syntax-rules ()
    ((_ a b) (cons a (delay b)))))
