;; rackunit: checks, test cases, suites and run-tests. What fails is told on stderr, and the program goes on; in a test
;; case the rest of the case is left out.

(define-record-type %failure (%make-failure who message infos) #f (who %failure-who) (message %failure-message) (infos %failure-infos))
(struct exn:test exn () #:transparent)
(struct exn:test:check exn:test (stack) #:transparent)

;; the names of the cases and suites that are running, the innermost first; #f as a case's: nobody counts
(define %test-path (make-parameter '()))
(define %in-case (make-parameter #f))
(define %check-infos (make-parameter '()))

(define (%check who holds? message . infos)
  (if (not holds?) (%check-failed who message infos)))
(define (%check-failed who message infos)
  (let ((failure (%make-failure who message (append infos (%check-infos)))))
    (if (%in-case)
        ((%in-case) failure)
        (%tell-failure failure))))
(define %rule "--------------------\n")
(define (%tell-failure failure)
  (let ((port (current-error-port)))
    (display %rule port)
    (if (pair? (%test-path)) (fprintf port "~a\n" (string-join (reverse (%test-path)) " > ")))
    (display "FAILURE\n" port)
    (%tell-info port "name" (symbol->string (%failure-who failure)))
    (for-each (lambda (info) (%tell-info port (car info) (%->string (cdr info) 2 0))) (%failure-infos failure))
    (if (%failure-message failure) (%tell-info port "message" (%->string (%failure-message failure) 2 0)))
    (display %rule port)))
(define (%tell-info port name text)
  (fprintf port "~a~a~a\n" name ":" (string-append (make-string (max 1 (- 11 (string-length name))) #\space) text)))
(define (%tell-error e)
  (let ((port (current-error-port)))
    (display %rule port)
    (if (pair? (%test-path)) (fprintf port "~a\n" (string-join (reverse (%test-path)) " > ")))
    (fprintf port "ERROR\n\n~a\n" (if (exn? e) (exn-message e) (%->string e 2 0)))
    (display %rule port)))

(define-syntax %define-checks
  (syntax-rules ()
    ((_ (name (parameter ...) holds? info ...) ...)
     (begin (define (name parameter ... [message #f]) (%check 'name holds? message info ...)) ...))))
(define (%between v n tolerance) (<= (abs (- v n)) tolerance))
(%define-checks
 (check-equal? (actual expected) (equal? actual expected) (cons "actual" actual) (cons "expected" expected))
 (check-not-equal? (actual expected) (not (equal? actual expected)) (cons "actual" actual) (cons "expected" expected))
 (check-eq? (actual expected) (eq? actual expected) (cons "actual" actual) (cons "expected" expected))
 (check-not-eq? (actual expected) (not (eq? actual expected)) (cons "actual" actual) (cons "expected" expected))
 (check-eqv? (actual expected) (eqv? actual expected) (cons "actual" actual) (cons "expected" expected))
 (check-not-eqv? (actual expected) (not (eqv? actual expected)) (cons "actual" actual) (cons "expected" expected))
 (check-= (actual expected tolerance) (%between actual expected tolerance) (cons "actual" actual) (cons "expected" expected) (cons "tolerance" tolerance))
 (check-within (actual expected tolerance) (%equal-within? actual expected tolerance) (cons "actual" actual) (cons "expected" expected) (cons "epsilon" tolerance))
 (check-true (v) (eq? v #t) (cons "params" (list v)))
 (check-false (v) (eq? v #f) (cons "params" (list v)))
 (check-not-false (v) v (cons "params" (list v)))
 (check-pred (good? v) (good? v) (cons "params" (list good? v)))
 (check (same? a b) (same? a b) (cons "params" (list same? a b)))
 (check-regexp-match (rx text) (regexp-match? rx text) (cons "params" (list rx text))))
(define (%equal-within? a b tolerance)
  (cond ((and (number? a) (number? b)) (or (equal? a b) (and (not (nan? (real-part a))) (not (nan? (real-part b))) (%between a b tolerance))))
        ((and (pair? a) (pair? b)) (and (%equal-within? (car a) (car b) tolerance) (%equal-within? (cdr a) (cdr b) tolerance)))
        ((and (vector? a) (vector? b))
         (and (= (vector-length a) (vector-length b))
              (every (lambda (x y) (%equal-within? x y tolerance)) (vector->list a) (vector->list b))))
        ((and (hash? a) (hash? b))
         (and (= (hash-count a) (hash-count b))
              (every (lambda (e) (and (hash-has-key? b (car e)) (%equal-within? (cdr e) (%hash-ref b (car e) #f) tolerance))) (hash->list a))))
        ((and (struct? a) (struct? b) (eq? (%record-rtd a) (%record-rtd b)))
         (every (lambda (x y) (%equal-within? x y tolerance)) (struct->list a) (struct->list b)))
        (else (equal? a b))))
(define (%raised thunk) (%catch (lambda (e) (list e)) (lambda () (thunk) #f)))
(define (check-exn good? thunk [message #f])
  (let ((raised (%raised thunk)))
    (if (not raised)
        (%check-failed 'check-exn message (list (cons "params" (list good? thunk)) (cons "message" "No exception raised")))
        (%check 'check-exn
                (if (regexp? good?)
                    (and (exn? (car raised)) (regexp-match? good? (exn-message (car raised))))
                    (good? (car raised)))
                message (cons "params" (list good? thunk)) (cons "exn-message" (condition/report-string (car raised)))))))
(define (check-not-exn thunk [message #f])
  (let ((raised (%raised thunk)))
    (%check 'check-not-exn (not raised) message
            (cons "exception-message" (and raised (condition/report-string (car raised)))))))
(define-syntax check-match
  (syntax-rules ()
    ((_ v pattern) (check-match v pattern #t))
    ((_ v pattern test)
     (let ((value v))
       (%check 'check-match (match value (pattern test) (_ #f)) #f (cons "actual" value) (cons "pattern" 'pattern))))))
(define (fail [message ""]) (%check-failed 'fail message '()))
(define (fail-check [message ""]) (%check-failed 'fail-check message '()))
(define-syntax with-check-info
  (syntax-rules ()
    ((_ ((name value) ...) body ...)
     (parameterize ([%check-infos (append (list (cons (symbol->string name) value) ...) (%check-infos))]) body ...))))
(define-syntax define-simple-check
  (syntax-rules ()
    ((_ (name parameter ...) body ...)
     (define (name parameter ... [message #f])
       (%check 'name (let () body ...) message (cons "params" (list parameter ...)))))))
(define-syntax define-binary-check
  (syntax-rules ()
    ((_ (name same? actual expected)) (define (name actual expected [message #f])
                                        (%check 'name (same? actual expected) message (cons "actual" actual) (cons "expected" expected))))
    ((_ (name actual expected) body ...) (define (name actual expected [message #f])
                                           (%check 'name (let () body ...) message (cons "actual" actual) (cons "expected" expected))))))
(define-syntax define-check
  (syntax-rules ()
    ((_ (name parameter ...) body ...) (define (name parameter ... [message #f]) body ... (void)))))

;; ---- cases and suites ----
;; a case is run where it stands; in a suite, when the suite is
(define %collecting (make-parameter #f)) ; a box of what the suite that is being made has
(define-record-type %test (%make-test name run) %test? (name %test-name) (run %test-run))
(define-record-type %suite (%make-suite name before tests after) test-suite?
  (name %suite-name) (before %suite-before) (tests %suite-tests) (after %suite-after))

(define (%test name thunk)
  (let ((test (%make-test name thunk)))
    (if (%collecting)
        (set-box! (%collecting) (cons test (unbox (%collecting))))
        (begin (%run-case test) (void)))))
;; success, failure or error; told where it is none
(define (%run-case test)
  (parameterize ([%test-path (if (%test-name test) (cons (%test-name test) (%test-path)) (%test-path))] [%collecting #f])
    (let/ec return
      (%catch (lambda (e) (%tell-error e) 'error)
              (lambda ()
                (parameterize ([%in-case (lambda (failure) (%tell-failure failure) (return 'failure))])
                  ((%test-run test)))
                'success)))))
(define-syntax test-case (syntax-rules () ((_ name body ...) (%test name (lambda () body ...)))))
(define-syntax %define-tests
  (syntax-rules ()
    ((_ (name check) ...)
     (begin (define-syntax name (syntax-rules () ((_ label . arguments) (%test label (lambda () (check . arguments)))))) ...))))
(%define-tests
 (test-check check) (test-equal? check-equal?) (test-not-equal? check-not-equal?) (test-eq? check-eq?) (test-not-eq? check-not-eq?)
 (test-eqv? check-eqv?) (test-not-eqv? check-not-eqv?) (test-= check-=) (test-within check-within) (test-true check-true)
 (test-false check-false) (test-not-false check-not-false) (test-pred check-pred) (test-exn check-exn) (test-not-exn check-not-exn)
 (test-match check-match))
(define-syntax test-suite
  (syntax-rules ()
    ((_ name . rest) (%test-suite-parts name (lambda () (void)) (lambda () (void)) . rest))))
(define-syntax %test-suite-parts
  (er-macro-transformer
   (lambda (form rename compare)
     (let loop ((rest (cddddr form)) (before (caddr form)) (after (cadddr form)))
       (cond ((and (pair? rest) (eq? (car rest) '#:before)) (loop (cddr rest) (cadr rest) after))
             ((and (pair? rest) (eq? (car rest) '#:after)) (loop (cddr rest) before (cadr rest)))
             (else
              `(,(rename '%collect-suite) ,(cadr form) ,before ,after
                ,@(map (lambda (test) `(,(rename 'lambda) () ,test)) rest))))))))
(define (%collect-suite name before after . parts)
  (let ((suite
         (%make-suite name before
                      ;; the tests' own expressions run with the suite, so that they see what `before` did
                      (map (lambda (part) (lambda () (%part-tests part))) parts)
                      after)))
    (if (%collecting) (set-box! (%collecting) (cons suite (unbox (%collecting)))))
    suite))
(define (%part-tests part)
  (let ((found (box '())))
    (let ((v (parameterize ([%collecting found]) (part))))
      (if (and (test-suite? v) (not (memq v (unbox found)))) (set-box! found (cons v (unbox found)))))
    (reverse (unbox found))))
(define-syntax define-test-suite (syntax-rules () ((_ name . rest) (define name (test-suite (symbol->string 'name) . rest)))))
(define (make-test-suite name tests #:before [before void] #:after [after void])
  (%make-suite name before (map (lambda (t) (lambda () (list t))) tests) after))

;; ---- running suites: the number of those that did not pass ----
(define (run-tests test [verbosity 'normal])
  (let ((counts (make-hasheq '((success . 0) (failure . 0) (error . 0)))))
    (define (count! outcome) (hash-update! counts outcome add1))
    (let run ((test test))
      (cond ((%test? test) (count! (%run-case test)))
            ((test-suite? test)
             (parameterize ([%test-path (cons (%suite-name test) (%test-path))])
               ((%suite-before test))
               (for-each
                (lambda (part)
                  ;; a check that stands in the suite itself counts as a test
                  (let ((tests (%catch (lambda (e) (%tell-error e) (count! 'error) '())
                                       (lambda () (part)))))
                    (for-each run tests)))
                (%suite-tests test))
               ((%suite-after test))))
            (else (raise-argument-error 'run-tests "test?" test))))
    (let ((good (hash-ref counts 'success)) (failed (hash-ref counts 'failure)) (errors (hash-ref counts 'error)))
      (if (not (eq? verbosity 'quiet))
          (printf "~a success(es) ~a failure(s) ~a error(s) ~a test(s) run\n" good failed errors (+ good failed errors)))
      (+ failed errors))))
(define (run-test test) (run-tests test 'quiet))
