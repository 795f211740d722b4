;; exceptions.scm — raise, with-exception-handler, guard, error.
;;
;; Handlers live in the dynamic state, innermost first. A handler runs in the raise's own place,
;; with the handlers outside its own installed.

;; What raise does when no handler is left. The main loop puts its own here; it never returns.
(define %uncaught-handler #f)
(define (%uncaught obj)
  (unless (or (exn? obj) (%raised-place obj)) (%note-place! obj))
  ;; The computation is left: its after thunks run, as in Racket. What goes wrong in them is lost.
  (let ((winders (vector-ref (%state) 0)))
    (when (pair? winders)
      (%catch (lambda (e) #f) (lambda () (%unwind! winders '())))))
  (if %uncaught-handler
      (%uncaught-handler obj)
      (%panic obj)))

(define (with-exception-handler handler thunk)
  (unless (procedure? handler)
    (%err-type 'with-exception-handler 0 "procedure" handler))
  (unless (procedure? thunk)
    (%err-type 'with-exception-handler 1 "procedure" thunk))
  (let* ((outer (%dynamic))
         (state (or outer %empty-state)))
    (%set-dynamic! (%with-handlers-state state (cons handler (%state-handlers state))))
    (let ((result (thunk)))
      (%set-dynamic! outer)
      result)))

;; Call the innermost handler in the dynamic state of the raise, minus that handler.
(define (%call-handler obj)
  (let* ((state (%state))
         (handlers (%state-handlers state)))
    (if (null? handlers)
        (%uncaught obj)
        (begin
          (%set-dynamic! (%with-handlers-state state (cdr handlers)))
          (let ((result ((car handlers) obj)))
            (%set-dynamic! state)
            result)))))

(define (raise-continuable obj) (%call-handler (%note-place! obj)))

;; A condition carries the place at which it was raised. For another object that place stands here, with the
;; object, until another is raised; so it is still known when whoever waits for a fiber raises its object again.
(define %raised #f)
(define (%note-place! obj)
  (if (exn? obj)
      (%condition-locate! obj)
      (let ((place (%place)))
        (set! %raised (cons obj place))
        obj)))

;; (source line column), or #f.
(define (%raised-place obj) (and %raised (eq? (car %raised) obj) (cdr %raised)))

;; Not continuable: a handler that returns is itself an error, raised to the handlers outside it.
(define (%raise obj)
  (let ((state (%state)))
    (%call-handler obj)
    (let ((handlers (%state-handlers state)))
      (%set-dynamic! (%with-handlers-state state (if (pair? handlers) (cdr handlers) '())))
      (%raise (%handler-returned obj)))))

(define (%handler-returned obj)
  (let ((condition
         (%make-condition
          'exn:fail
          (if (exn? obj)
              (string-append "exception handler returned from a non-continuable raise: " (exn-message obj))
              "exception handler returned from a non-continuable raise")
          (if (exn? obj) '() (%list obj)))))
    (if (exn? obj)      ; it happened where that was raised
        (for-each (lambda (mark) (%set-condition-mark! condition mark (%condition-mark obj mark)))
                  '(2 3 4 5)))
    (%condition-locate! condition)))

;; Racket's second argument (a barrier) means nothing here.
(define (raise obj [barrier? #t]) (%raise (%note-place! obj)))

(%set-hook! 'raise %raise)

;; Escape to here and call (handler obj) in this dynamic state, in tail position. A raw
;; continuation does: it only ever goes outwards from the handler, so there are only winders to
;; leave. This is what most guards are, so it is written out.
(define (%catch handler thunk)
  ((%call/cc
    (lambda (k)
      (let* ((outer (%dynamic))
             (state (or outer %empty-state))
             (winders (vector-ref state 0)))
        (%set-dynamic!
         (vector winders
                 (cons (lambda (obj)
                         (unless (eq? winders (vector-ref (%state) 0)) (%rewind! winders))
                         (k (lambda () (handler obj))))
                       (vector-ref state 1))
                 (vector-ref state 2)))
        (let ((result (thunk)))
          (%set-dynamic! outer)
          (lambda () result)))))))

;; As %catch, but the clauses may decline by calling their second argument, which goes back into
;; the raise and looks for another handler there.
(define (%catch-or-reraise clauses thunk)
  ((call-with-current-continuation
    (lambda (escape)
      (with-exception-handler
       (lambda (obj)
         ((call-with-current-continuation
           (lambda (back)
             (escape
              (lambda ()
                (clauses obj (lambda () (back (lambda () (%call-handler obj)))))))))))
       (lambda ()
         (let ((result (thunk)))
           (lambda () result))))))))
(define %with-guard %catch-or-reraise)

(define-syntax guard
  (syntax-rules (else)
    ((_ (var clause ... (else result ...)) body ...)
     (%catch (lambda (var) (cond clause ... (else result ...)))
             (lambda () body ...)))
    ((_ (var clause ...) body ...)
     (%catch-or-reraise (lambda (var reraise) (cond clause ... (else (reraise))))
                        (lambda () body ...)))))

;; ---- error, in both of its styles ----
;;   (error "message" irritant ...)          R7RS
;;   (error 'who "format ~a" value ...)      Racket; without directives the values are irritants
;;   (error 'symbol irritant ...)
;; The condition keeps the message and the irritants apart, as R7RS wants them back; mark 7 says
;; `error` then, so that exn-message puts them together (conditions of primitives have complete
;; messages and irritants besides).

(define (%error-condition message irritants who)
  (let ((condition (%make-condition 'exn:fail message irritants)))
    (%set-condition-mark! condition 1 who)
    (%set-condition-mark! condition 7 'error)
    condition))

(define (error message . irritants)
  (%raise
   (%condition-locate!
    (cond ((and (symbol? message) (pair? irritants) (string? (car irritants)))
           (let ((who (string-append (symbol->string message) ": ")) (text (car irritants)))
             (if (%string-index-of text "~")
                 (%error-condition (string-append who (apply format irritants)) '() message)
                 (%error-condition (string-append who text) (cdr irritants) message))))
          ((symbol? message)
           (%error-condition (if (pair? irritants) (symbol->string message)
                                 (string-append "error: " (symbol->string message)))
                             irritants #f))
          (else (%error-condition message irritants #f))))))

(define (%err-type who argument expected got)
  (let ((condition
         (%make-condition 'exn:fail:contract
                          (string-append (symbol->string who) ": contract violation\n  expected: "
                                         (if (%string-index-of expected " ") expected (string-append expected "?"))
                                         "\n  given: " (%bounded-text got))
                          (%list got))))
    (%set-condition-mark! condition 1 who)
    (%set-condition-mark! condition 7 (+ argument 1))
    (%raise (%condition-locate! condition))))

;; A value as an error message shows it.
(define (%bounded-text value)
  (let ((text (%->string value 2 0)))
    (if (> (string-length text) 160) (string-append (substring text 0 157) "...") text)))

(define (error-object? obj) (exn? obj))
(define (error-object-message e)
  (if (exn? e) (%condition-message e) (%err-type 'error-object-message 0 "error object" e)))
(define (error-object-irritants e)
  (if (exn? e) (%condition-irritants e) (%err-type 'error-object-irritants 0 "error object" e)))
(define (read-error? obj) (%record-is-a? obj struct:exn:fail:read))
;; A refused file operation is a file error too: see capabilities.scm.
(define (file-error? obj)
  (or (%record-is-a? obj struct:exn:fail:filesystem)
      (and (exn? obj) (eq? (%condition-mark obj 7) 'file))))
