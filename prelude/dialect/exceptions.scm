;; Racket's conditions: with-handlers, the exn accessors, raise-argument-error and its kin.
;;
;; A condition is a record of an exn type (conditions.scm) with a message and marks: the vector of
;; what the core knows of the error.

;; ---- with-handlers ----
;; The handlers are tried in order, in the dynamic context of the with-handlers form; where none
;; applies the condition goes on to the handlers outside.
(define-syntax with-handlers
  (er-macro-transformer
   (lambda (form rename compare)
     (if (not (and (list? form) (>= (length form) 3) (list? (cadr form)) (every %binding? (cadr form))))
         (%macro-error 'with-handlers "expected (with-handlers ([predicate handler] ...) body ...)" form))
     (if (null? (cadr form))
         `(,(rename 'let) () ,@(cddr form))
         `(,(rename '%with-handlers)
           (,(rename 'list) ,@(map (lambda (h) `(,(rename 'cons) ,(car h) ,(cadr h))) (cadr form)))
           (,(rename 'lambda) () ,@(cddr form)))))))

(define-syntax with-handlers*
  (syntax-rules () ((_ . rest) (with-handlers . rest))))

(define (%with-handlers handlers thunk)
  (for-each (lambda (h)
              (if (not (procedure? (car h))) (raise-argument-error 'with-handlers "(any/c . -> . any/c)" (car h)))
              (if (not (procedure? (cdr h))) (raise-argument-error 'with-handlers "(any/c . -> . any)" (cdr h))))
            handlers)
  (%with-guard
   (lambda (obj reraise)
     (let loop ((handlers handlers))
       (cond ((null? handlers) (reraise))
             (((caar handlers) obj) ((cdar handlers) obj))
             (else (loop (cdr handlers))))))
   thunk))

(define (call-with-escape-handler handler thunk) (%catch handler thunk))

;; ---- what a condition says ----
;; The message as Racket words it: (error "text:" 1 "x") says `text: 1 "x"`. (What `error` made keeps
;; message and irritants apart, as R7RS wants them back; every other message is complete.)
(define (exn-message e)
  (if (not (exn? e)) (raise-argument-error 'exn-message "exn?" e))
  (let ((message (%condition-message e)) (irritants (%condition-irritants e)))
    (if (and (pair? irritants) (eq? (%condition-mark e 7) 'error))
        (string-append (if (string? message) message (%shown message 200))
                       (%string-concatenate (map (lambda (i) (string-append " " (%shown i 200))) irritants)))
        message)))
(define (exn-continuation-marks e) (current-continuation-marks))
(define (current-continuation-marks . ignored) #f)
(define (continuation-mark-set->context marks) '())
(define (condition/report-string e)
  (cond ((exn? e) (exn-message e)) ((string? e) e) (else (%shown e 200))))
(define (exn->string e) (condition/report-string e))

;; a value as `print` (written: `write`) shows it, cut at `most` characters
(define (%cut text most)
  (if (> (string-length text) most) (string-append (substring text 0 (- most 3)) "...") text))
(define (%shown v most) (%cut (%->string v 2 0) most))
(define (%shown-written v most) (%cut (%->string v 1 0) most))

;; ---- raising ----
(define (%article-position n)
  (let* ((tens (remainder n 100)) (ones (remainder n 10)))
    (string-append (number->string n)
                   (cond ((<= 11 tens 13) "th") ((= ones 1) "st") ((= ones 2) "nd") ((= ones 3) "rd") (else "th")))))

;; (raise-argument-error who expected value), (raise-argument-error who expected position value ...)
(define (raise-argument-error who expected first . rest)
  (let ((bad (if (null? rest) first (list-ref rest first)))
        (condition (%argument-condition who expected first rest "given")))
    (raise (if (json-null? bad) (%with-hint condition %null-advice) condition))))
(define %null-advice "This is a JSON null: test for it with (json-null? v) first, as in (if (json-null? v) default v).")
(define (raise-result-error who expected first . rest)
  (raise (%argument-condition who expected first rest "given")))
(define (%argument-condition who expected first rest word)
  (let* ((bad (if (null? rest) first (list-ref rest first)))
         (others (if (null? rest) '() (append (take rest first) (drop rest (+ first 1))))))
    (make-exn:fail:contract
     (string-append
      (symbol->string who) ": contract violation\n  expected: " expected "\n  " word ": " (%shown bad 120)
      (if (null? rest) "" (string-append "\n  argument position: " (%article-position (+ first 1))))
      (if (null? others) ""
          (apply string-append "\n  other arguments...:"
                 (map (lambda (o) (string-append "\n   " (%shown o 120))) others))))
     #f)))

(define (raise-arguments-error who message . fields)
  (raise
   (make-exn:fail:contract
    (apply string-append (symbol->string who) ": " message
           (let loop ((fields fields))
             (if (or (null? fields) (null? (cdr fields))) '()
                 (cons (string-append "\n  " (car fields) ": " (%shown (cadr fields) 120)) (loop (cddr fields))))))
    #f)))

(define (raise-type-error who expected first . rest)
  (let ((bad (if (null? rest) first (list-ref rest first))))
    (raise (make-exn:fail:contract
            (string-append (symbol->string who) ": expected argument of type <" expected ">; given: " (%shown bad 120)) #f))))

(define (raise-mismatch-error who message value . more)
  (raise (make-exn:fail:contract
          (string-append (symbol->string who) ": " message (%shown value 120)) #f)))

(define (raise-range-error who type prefix index value lower upper . rest)
  (raise (make-exn:fail:contract
          (string-append (symbol->string who) ": " prefix "index is out of range\n  " prefix "index: " (%shown index 40)
                         "\n  valid range: [" (number->string lower) ", " (number->string upper) "]\n  " type ": " (%shown value 120))
          #f)))

(define (raise-user-error who . args)
  (raise
   (make-exn:fail:user
    (cond ((string? who) (apply string-append who (map (lambda (a) (string-append " " (%shown a 200))) args)))
          ((null? args) (string-append "error: " (symbol->string who)))
          (else (string-append (symbol->string who) ": " (apply format args))))
    #f)))

(define (raise-syntax-error who message [form #f] [sub #f] . rest)
  (raise
   (make-exn:fail:syntax
    (string-append (if who (string-append (symbol->string who) ": ") "") message
                   (cond (sub (string-append "\n  at: " (%shown-written sub 120) "\n  in: " (%shown-written form 120)))
                         (form (string-append "\n  in: " (%shown-written form 120)))
                         (else "")))
    #f)))

(define (raise-arity-error who expected . args)
  (raise (make-exn:fail:contract:arity
          (string-append (if (symbol? who) (symbol->string who) (%shown-written who 60))
                         ": arity mismatch;\n the expected number of arguments does not match the given number\n  expected: "
                         (%shown-written expected 40) "\n  given: " (number->string (length args)))
          #f)))

;; ---- assertions ----
(define-syntax assert
  (er-macro-transformer
   (lambda (form rename compare)
     (let ((shown (%cut (%->string (strip-syntactic-closures (cadr form)) 1 0) 120)))
       `(,(rename 'if) ,(cadr form)
         (,(rename 'void))
         (,(rename '%assertion-failed) ,shown ,@(cddr form)))))))
(define (%assertion-failed shown . more)
  (raise (make-exn:fail:contract
          (apply string-append "assertion failed: " shown
                 (map (lambda (m) (string-append " " (if (string? m) m (%shown m 120)))) more))
          #f)))

;; (try expr ... on-error handler): the handler gets the message
(define-syntax try
  (er-macro-transformer
   (lambda (form rename compare)
     (let loop ((rest (cdr form)) (body '()))
       (cond ((null? rest)
              (%macro-error 'try "expected (try expr on-error handler)" form))
             ((and (%id-named? (car rest) 'on-error) (pair? (cdr rest)))
              `(,(rename '%catch)
                (,(rename 'let) ((,(rename 'handler) ,(cadr rest)))
                 (,(rename 'lambda) (,(rename 'e)) (,(rename 'handler) (,(rename 'condition/report-string) ,(rename 'e)))))
                (,(rename 'lambda) () ,@(reverse body))))
             (else (loop (cdr rest) (cons (car rest) body))))))))

(%repeatable! 'with-handlers 'try)
