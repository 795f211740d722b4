;; Prompts and what is captured up to them: racket/control. On full continuations: each fiber has a stack of the
;; prompts that it is in, and a composable continuation is a full one with a new place to return to.
;;
;; A frame of the stack: the prompt's identity, its tag, the continuation to return to, the handler of aborts. A body
;; that ends looks for the frame of its own prompt: what lies above was left by a raise. Applying a composable
;; continuation puts the frames that it crossed back, on one that stands for its prompt.

(define %prompts (make-hasheq))          ; fiber -> stack; none: it is empty
(define (%prompt-stack) (hash-ref %prompts %current-fiber '()))
(define (%set-prompt-stack! stack)
  (if (null? stack)
      (hash-remove! %prompts %current-fiber)
      (hash-set! %prompts %current-fiber stack)))
(define-record-type %frame (%make-frame id tag k handler) #f (id %frame-id) (tag %frame-tag) (k %frame-k) (handler %frame-handler))

(define-record-type continuation-prompt-tag (%make-tag name) continuation-prompt-tag? (name %tag-name))
(%set-rtd-printer! (%record-rtd (%make-tag #f))
                   (lambda (t) (string-append "#<continuation-prompt-tag:" (%->string (%tag-name t) 0 0) ">")))
(define (make-continuation-prompt-tag [name 'prompt]) (%make-tag name))
(define %default-tag (%make-tag 'default))
(define (default-continuation-prompt-tag) %default-tag)

(define (call-with-continuation-prompt thunk [tag %default-tag] [handler #f] . args)
  (if (not (procedure? thunk)) (raise-argument-error 'call-with-continuation-prompt "procedure?" thunk))
  (%call-with-prompt tag (or handler (lambda (aborted) (call-with-continuation-prompt aborted tag)))
                     (if (null? args) thunk (lambda () (apply thunk args)))))

(define (%call-with-prompt tag handler thunk)
  ((call/cc
    (lambda (k)
      (let ((id (list tag)))
        (%set-prompt-stack! (cons (%make-frame id tag k handler) (%prompt-stack)))
        (call-with-values thunk
          (lambda vs
            (let loop ((stack (%prompt-stack)))
              (cond ((null? stack) (apply k (list (lambda () (apply values vs)))))
                    ((eq? (%frame-id (car stack)) id)
                     (%set-prompt-stack! (cdr stack))
                     ((%frame-k (car stack)) (lambda () (apply values vs))))
                    (else (loop (cdr stack))))))))))))

;; three values: the frames above the prompt, its frame, those below
(define (%find-prompt who tag)
  (let loop ((stack (%prompt-stack)) (above '()))
    (cond ((null? stack)
           (raise (make-exn:fail:contract:continuation
                   (string-append (symbol->string who) ": no corresponding prompt in the continuation\n  tag: " (%->string tag 2 0)) #f)))
          ((eq? (%frame-tag (car stack)) tag) (values (reverse above) (car stack) (cdr stack)))
          (else (loop (cdr stack) (cons (car stack) above))))))

(define (abort-current-continuation tag . vs)
  (let-values (((above frame below) (%find-prompt 'abort-current-continuation tag)))
    (%set-prompt-stack! below)
    ((%frame-k frame) (lambda () (apply (%frame-handler frame) vs)))))

(define (%composable k above frame tag)
  (lambda vs
    ((call/cc
      (lambda (return)
        (%set-prompt-stack! (append above (cons (%make-frame (%frame-id frame) tag return (%frame-handler frame)) (%prompt-stack))))
        (k (lambda () (apply values vs))))))))
(define (call-with-composable-continuation f [tag %default-tag])
  (let-values (((above frame below) (%find-prompt 'call-with-composable-continuation tag)))
    ((call/cc (lambda (k) (let ((c (%composable k above frame #f))) (lambda () (f c))))))))

;; f gets the rest up to the prompt, in place of which it runs: inside of the prompt where keep? holds; the rest
;; has a prompt of its own where closed? does.
(define (%control who tag f keep? closed?)
  (let-values (((above frame below) (%find-prompt who tag)))
    ((call/cc
      (lambda (k)
        (let ((c (%composable k above frame (and closed? tag))))
          (%set-prompt-stack! below)
          ((%frame-k frame)
           (if keep?
               (lambda () (%call-with-prompt tag (%frame-handler frame) (lambda () (f c))))
               (lambda () (f c))))))))))

(define-syntax %define-control
  (syntax-rules ()
    ((_ (prompt prompt-at control control-at keep? closed?) ...)
     (begin
       (begin
         (define-syntax prompt (syntax-rules () ((_ body (... ...)) (call-with-continuation-prompt (lambda () body (... ...)) %default-tag (lambda (thunk) (thunk))))))
         (define-syntax prompt-at (syntax-rules () ((_ tag body (... ...)) (call-with-continuation-prompt (lambda () body (... ...)) tag (lambda (thunk) (thunk))))))
         (define-syntax control (syntax-rules () ((_ k body (... ...)) (%control 'control %default-tag (lambda (k) body (... ...)) keep? closed?))))
         (define-syntax control-at (syntax-rules () ((_ tag k body (... ...)) (%control 'control-at tag (lambda (k) body (... ...)) keep? closed?)))))
       ...))))
(%define-control
 (reset reset-at shift shift-at #t #t)
 (prompt prompt-at control control-at #t #f)
 (reset0 reset0-at shift0 shift0-at #f #t)
 (prompt0 prompt0-at control0 control0-at #f #f))
(define (abort . vs) (abort-current-continuation %default-tag (lambda () (apply values vs))))
(define-syntax call/comp (syntax-rules () ((_ f . more) (call-with-composable-continuation f . more))))
(define (call/prompt thunk . more) (apply call-with-continuation-prompt thunk more))

;; ---- continuation marks: the latest of a key, in the dynamic extent ----
(define %marks (make-parameter '()))
(define-syntax with-continuation-mark
  (syntax-rules () ((_ key value body) (parameterize ([%marks (cons (cons key value) (%marks))]) body))))
(define (continuation-mark-set-first marks key [default #f] [tag #f])
  (let ((entry (assoc key (%marks) eqv?))) (if entry (cdr entry) default)))
(define (continuation-mark-set->list marks key [tag #f])
  (filter-map (lambda (entry) (and (eqv? (car entry) key) (cdr entry))) (%marks)))
