;; srfi/64.scm — test suites. Failures are displayed as they come, the counts at the end of the
;; outermost group; nothing is written to a file.

(define-values (%runner-rtd test-runner?)
  (let ((rtd (%make-rtd 'test-runner #f
                        '#(pass fail xpass xfail skip groups skips expected-fails result quiet? aux))))
    (values rtd (lambda (x) (%record-is-a? x rtd)))))
(define (%make-runner quiet?) (%record %runner-rtd 0 0 0 0 0 '() '() '() '() quiet? #f))
(define (test-runner-simple) (%make-runner #f))
(define (test-runner-null) (%make-runner #t))
(define test-runner-factory (make-parameter test-runner-simple))
(define (test-runner-create) ((test-runner-factory)))
(define test-runner-current (make-parameter #f))
(define (test-runner-get)
  (or (test-runner-current) (error "there is no current test runner; use test-begin")))

(define (test-runner-pass-count r) (%record-ref r 0))
(define (test-runner-fail-count r) (%record-ref r 1))
(define (test-runner-xpass-count r) (%record-ref r 2))
(define (test-runner-xfail-count r) (%record-ref r 3))
(define (test-runner-skip-count r) (%record-ref r 4))
(define (test-runner-group-stack r) (map car (%record-ref r 5)))
(define (test-runner-group-path r) (reverse (test-runner-group-stack r)))
(define (test-runner-aux-value r) (%record-ref r 10))
(define (test-runner-aux-value! r value) (%record-set! r 10 value))
(define (test-result-alist r) (%record-ref r 8))
(define (test-result-ref r key [default #f])
  (let ((entry (assq key (%record-ref r 8)))) (if entry (cdr entry) default)))
(define (test-result-set! r key value)
  (%record-set! r 8 (cons (cons key value) (%record-ref r 8))))
(define (test-runner-test-name r) (test-result-ref r 'test-name ""))
(define (test-result-kind [r (test-runner-get)]) (test-result-ref r 'result-kind))
(define (test-passed? [r (test-runner-get)]) (and (memq (test-result-kind r) '(pass xpass)) #t))

;; ---- groups: (name . skips and expected failures from outside) ----

(define (test-begin name [count #f])
  (unless (test-runner-current) (test-runner-current (test-runner-create)))
  (let ((r (test-runner-get)))
    (%record-set! r 5 (cons (%list name (%record-ref r 6) (%record-ref r 7)) (%record-ref r 5)))))

(define (test-end [name #f])
  (let* ((r (test-runner-get)) (groups (%record-ref r 5)))
    (when (null? groups) (error "test-end without test-begin"))
    (when (and name (not (equal? name (caar groups))))
      (error "test-end: the innermost group has another name:" (caar groups) name))
    (%record-set! r 6 (cadar groups))
    (%record-set! r 7 (caddar groups))
    (%record-set! r 5 (cdr groups))
    (when (null? (cdr groups))
      (unless (%record-ref r 9) (%report-tests r (caar groups)))
      (test-runner-current #f))))

(define (%report-tests r name)
  (display (string-append
            (%->string name 0 0) ": "
            (%string-join
             (filter-map (lambda (count what)
                           (and (or (> count 0) (string=? what "passed"))
                                (string-append (number->string count) " " what)))
                         (map (lambda (i) (%record-ref r i)) '(0 1 3 2 4))
                         '("passed" "failed" "failed as expected" "passed unexpectedly" "skipped"))
             ", ")
            "\n")))

(define-syntax test-group
  (syntax-rules ()
    ((_ name body ...)
     (%test-group name (lambda () body ... (void)) void))))
(define-syntax test-group-with-cleanup
  (syntax-rules ()
    ((_ name body ... cleanup)
     (%test-group name (lambda () body ... (void)) (lambda () cleanup)))))
(define (%test-group name thunk cleanup)
  (dynamic-wind (lambda () (test-begin name))
                thunk
                (lambda () (cleanup) (test-end name))))

;; ---- one test ----

(define (%run-test name form expected judge)
  (unless (test-runner-current) (test-begin "tests"))
  (let ((r (test-runner-get)))
    (%record-set! r 8 (%list (cons 'test-name name) (cons 'source-form form)))
    (if (%any-specifier? r 6)
        (%settle-test r 'skip 4)
        (let* ((xfail? (%any-specifier? r 7))
               (passed? (%catch (lambda (e) (test-result-set! r 'actual-error e) #f) judge)))
          (if passed?
              (%settle-test r (if xfail? 'xpass 'pass) (if xfail? 2 0))
              (%settle-test r (if xfail? 'xfail 'fail) (if xfail? 3 1)))
          (unless (or passed? xfail? (%record-ref r 9))
            (%show-failure r name form expected))
          passed?))))

(define (%settle-test r kind slot)
  (test-result-set! r 'result-kind kind)
  (%record-set! r slot (+ 1 (%record-ref r slot))))

(define (%show-failure r name form expected)
  (let ((error (test-result-ref r 'actual-error %missing)))
    (display (string-append
              "FAIL " (if (equal? name "") "" (string-append (%->string name 0 0) ": "))
              (%->string form 1 0)
              (if (eq? expected %missing) "" (string-append " should be " (%->string expected 1 0)))
              (cond ((not (eq? error %missing))
                     (string-append ", raised " (if (exn? error) (exn-message error) (%->string error 1 0))))
                    (else (string-append ", is " (%->string (test-result-ref r 'actual-value) 1 0))))
              "\n"))))

(define (%compare-test name form expected thunk same?)
  (%run-test name form expected
             (lambda ()
               (let ((value (thunk)))
                 (test-result-set! (test-runner-get) 'expected-value expected)
                 (test-result-set! (test-runner-get) 'actual-value value)
                 (and (same? expected value) #t)))))

(define-syntax %define-comparison-test
  (syntax-rules ()
    ((_ name same?)
     (define-syntax name
       (syntax-rules ()
         ((_ expected expression) (%compare-test "" 'expression expected (lambda () expression) same?))
         ((_ title expected expression)
          (%compare-test title 'expression expected (lambda () expression) same?)))))))
(%define-comparison-test test-equal equal?)
(%define-comparison-test test-eqv eqv?)
(%define-comparison-test test-eq eq?)

(define-syntax test-assert
  (syntax-rules ()
    ((_ expression) (test-assert "" expression))
    ((_ title expression)
     (%compare-test title 'expression #t (lambda () expression) (lambda (expected value) value)))))
(define-syntax test-approximate
  (syntax-rules ()
    ((_ expected expression tolerance) (test-approximate "" expected expression tolerance))
    ((_ title expected expression tolerance)
     (let ((epsilon tolerance))
       (%compare-test title 'expression expected (lambda () expression)
                      (lambda (a b) (<= (abs (- a b)) epsilon)))))))
(define-syntax test-error
  (syntax-rules ()
    ((_ expression) (test-error "" #t expression))
    ((_ type expression) (test-error "" type expression))
    ((_ title type expression)
     (%run-test title 'expression %missing (lambda () (%test-raises type (lambda () expression)))))))
(define (%test-raises type thunk)
  ((%catch (lambda (e)
             (lambda ()
               (test-result-set! (test-runner-get) 'actual-error e)
               (if (procedure? type) (and (type e) #t) #t)))
           (lambda ()
             (let ((value (thunk)))
               (lambda ()
                 (test-result-set! (test-runner-get) 'actual-value value)
                 #f))))))

;; ---- what to skip and what is expected to fail: predicates on the runner ----

(define (%specifier x)
  (cond ((procedure? x) x)
        ((string? x) (test-match-name x))
        ((integer? x) (test-match-nth 1 x))
        (else (%err-type 'test-skip 0 "specifier" x))))
;; every specifier is asked, for some of them count
(define (%any-specifier? r slot)
  (fold (lambda (specifier any?) (or (specifier r) any?)) #f (%record-ref r slot)))
(define (test-match-name name) (lambda (r) (equal? name (test-runner-test-name r))))
(define (test-match-nth n [count 1])
  (let ((i 0))
    (lambda (r) (set! i (+ i 1)) (and (>= i n) (< i (+ n count))))))
(define (test-match-any . specifiers)
  (let ((specifiers (map %specifier specifiers)))
    (lambda (r) (fold (lambda (s any?) (or (s r) any?)) #f specifiers))))
(define (test-match-all . specifiers)
  (let ((specifiers (map %specifier specifiers)))
    (lambda (r) (fold (lambda (s all?) (and (s r) all?)) #t specifiers))))
(define (test-skip . specifiers)
  (let ((r (test-runner-get)))
    (%record-set! r 6 (cons (apply test-match-all specifiers) (%record-ref r 6)))))
(define (test-expect-fail . specifiers)
  (let ((r (test-runner-get)))
    (%record-set! r 7 (cons (apply test-match-all specifiers) (%record-ref r 7)))))

(define (test-read-eval-string text)
  (let* ((port (open-input-string text)) (form (read port)))
    (if (eof-object? (read port)) (eval form) (error "more than one datum:" text))))
(define-syntax test-with-runner
  (syntax-rules ()
    ((_ runner body ...) (parameterize ((test-runner-current runner)) body ...))))
(define (test-apply first . rest)
  (if (test-runner? first)
      (parameterize ((test-runner-current first)) (apply test-apply rest))
      ((car (reverse (cons first rest))))))
