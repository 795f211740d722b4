;; Small things that scripts take from several of Racket's modules, and what they ask of the system, of which there is
;; none here.

;; racket/bool, racket/random, racket/vector
(define (xor a b) (if a (and (not b) a) b))
(define-syntax nand (syntax-rules () ((_ e ...) (not (and e ...)))))
(define-syntax nor (syntax-rules () ((_ e ...) (not (or e ...)))))
(define (random-ref sequence [generator #f])
  (let ((items (sequence->list sequence)))
    (if (null? items) (raise-argument-error 'random-ref "(and/c sequence? (not/c empty?))" sequence))
    (list-ref items (random (length items)))))
(define (random-sample sequence n [generator #f] #:replacement? [again? #t])
  (let ((items (sequence->list sequence)))
    (if again?
        (for/list ([i n]) (list-ref items (random (length items))))
        (take (shuffle items) n))))
(define (crypto-random-bytes n) (apply bytes (for/list ([i n]) (random 256))))
(define (make-pseudo-random-generator) 'generator)
(define (current-pseudo-random-generator . ignored) 'generator)
(define (pseudo-random-generator? v) (eq? v 'generator))

;; racket/flonum, racket/fixnum, racket/unsafe/ops: vectors and the plain operations
(define-values (flvector make-flvector flvector-ref flvector-set! flvector-length flvector? flvector-copy)
  (values vector (lambda (n [fill 0.0]) (make-vector n fill)) vector-ref vector-set! vector-length vector? vector-copy))
(define-values (fxvector make-fxvector fxvector-ref fxvector-set! fxvector-length fxvector?)
  (values vector (lambda (n [fill 0]) (make-vector n fill)) vector-ref vector-set! vector-length vector?))
(define-values (in-flvector in-fxvector) (values in-vector in-vector))
(define-values (unsafe-vector-ref unsafe-vector-set! unsafe-vector-length unsafe-car unsafe-cdr unsafe-string-ref unsafe-bytes-ref)
  (values vector-ref vector-set! vector-length car cdr string-ref bytes-ref))
(define-values (unsafe-fx+ unsafe-fx- unsafe-fx* unsafe-fx< unsafe-fx> unsafe-fx= unsafe-fl+ unsafe-fl- unsafe-fl* unsafe-fl/ unsafe-fl<)
  (values + - * < > = + - * / <))
(define (real->double-flonum x) (exact->inexact x))

;; weak boxes and executors: nothing is collected before its session ends
(define-record-type weak-box (make-weak-box value) weak-box? (value %weak-box-value))
(define (weak-box-value b [default #f]) (%weak-box-value b))
(define (make-will-executor) 'executor)
(define (will-register executor v proc) (void))
(define (will-try-execute executor [default #f]) default)

;; what there is of a system
(define (system-type [mode 'os]) (case mode ((os os*) 'unix) ((vm) 'racket-scheme) ((word) 64) ((gc) '3m) (else 'unix)))
(define (version) "8.7")
(define (current-memory-use . ignored) 0)
(define (current-custodian . ignored) 'custodian)
(define (make-custodian . ignored) 'custodian)
(define (custodian? v) (eq? v 'custodian))
(define (break-enabled . ignored) #t)
(define-syntax parameterize-break (syntax-rules () ((_ on? body ...) (let () body ...))))
(define error-print-width (make-parameter 256))
(define error-display-handler (make-parameter (lambda (message v) (eprintf "~a\n" message))))
(define uncaught-exception-handler (make-parameter raise))
(define error-value->string-handler (make-parameter (lambda (v width) (%shown v width))))
(define print-graph (make-parameter #f))
(define (srcloc->string v) #f)
