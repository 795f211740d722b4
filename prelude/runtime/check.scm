;; runtime/check.scm — what is wrong with a program, told before any of it runs.
;;
;; Every form is expanded, as it would be when its turn comes, and the syntax trees (ast.h) are searched:
;; for names that nothing defines, calls with a wrong number of arguments or an unknown keyword, patterns
;; that do not compile. A macro's transformer and the libraries that the program imports do run, so the
;; host checks in a copy of the session, and nothing is asked of a model (see %encode-request).
;;
;; What is certain is an "error". A "warning" is what only may go wrong: where the program makes
;; definitions as it runs (eval), or a form could not be looked into.

(define %checking? #f)

;; The nodes of ast.h, by their numbers.
(define-values (%n-const %n-lref %n-lset %n-gref %n-gset %n-gdef %n-if) (values 0 1 2 3 4 5 6))
(define-values (%n-lambda %n-case %n-call %n-let %n-letrec) (values 8 9 10 11 12)) ; 7, 13, 14: of one list of nodes
(define (%node-kind node) (vector-ref node 0))
(define (%node-place node) (vector-ref node 1))
(define (%node-part node i) (vector-ref node (+ i 2)))

;; What makes names while a program runs.
(define %defining-names '(eval load unsafe-exec-sub-output unsafe-overwrite namespace-set-variable-value! dynamic-require))

;; A procedure with keyword parameters is one of a rest list: (lambda args (let ((v (%keyword-arguments
;; spec args))) …)). Its spec, or #f.
(define (%spec-of-node lambda-node)
  (let ((body (%node-part lambda-node 5)))
    (and (= (%node-kind body) %n-let)
         (pair? (%node-part body 1))
         (let ((init (car (%node-part body 1))))
           (and (= (%node-kind init) %n-call)
                (pair? (%node-part init 1))
                (let ((first (car (%node-part init 1))))
                  (and (= (%node-kind first) %n-const)
                       (vector? (%node-part first 0))
                       (= (vector-length (%node-part first 0)) 7)
                       (pair? (vector-ref (%node-part first 0) 4))
                       (string? (vector-ref (%node-part first 0) 6))
                       (%node-part first 0))))))))
(define (%within? count required optional rest?)
  (and (<= required count) (or rest? (<= count (+ required optional)))))

(define (%check-program text env name)
  (define problems '())
  (define defined (make-hasheq))   ; cell -> its lambda node, or #t: something else, or more than one
  (define references '())          ; (cell . place), the last first
  (define calls '())               ; call nodes, the last first
  (define dynamic? #f)
  (define names (%visible-names))
  (define unbound (list 'unbound)) ; like no value of a cell

  (define (problem! severity message line column hint)
    (set! problems
          (cons (hash "severity" severity "message" message "line" (or line 0) "column" (or column 0) "hint" (or hint ""))
                problems)))
  (define (at-place! severity message place hint)
    (problem! severity message (arithmetic-shift place -12) (bitwise-and place 4095) hint))
  (define (failed! condition)
    (if (exn? condition)
        (let ((certain? (or (exn:fail:syntax? condition) (exn:fail:read? condition))))
          (problem! (if certain? "error" "warning")
                    (if certain?
                        (exn-message condition)
                        (string-append "this form cannot be checked before the program runs: " (exn-message condition)))
                    (%condition-mark condition 3) (%condition-mark condition 4)
                    (%condition-advice condition names)))
        (problem! "warning" "this form cannot be checked before the program runs" #f #f #f)))

  (define (check-forms forms env)
    (for-each (lambda (form)
                (%catch failed! (lambda () (check-form form env))))
              forms))
  (define (check-form form env)
    (if (and (pair? form) (eq? (car form) 'define-library)) ; what imports it needs it
        (%eval-form form env name)
        (check-expression form env)))
  (define (check-expression form env)
    (let ((state (%expand-start form env)))
      (let loop ()
        (let* ((r (%expand-run state)) (kind (vector-ref r 0)))
          (case kind
            ((%call) (%expand-give! state (apply (vector-ref r 1) (vector-ref r 2))) (loop))
            ((%eval) (%expand-give! state ((%compile (vector-ref r 1) name))) (loop))
            ((%load-library) (%expand-give! state (%load-library (vector-ref r 1))) (loop))
            ((%library-exists?) (%expand-give! state (if (%fetch-library (vector-ref r 1)) #t #f)) (loop))
            ((%include) (%expand-give! state (%include-forms (vector-ref r 1) (vector-ref r 2) (vector-ref r 3))) (loop))
            ((%splice) (check-forms (vector-ref r 1) (vector-ref r 2)))
            (else (walk r)))))))

  (define (walk node)
    (define (part i) (%node-part node i))
    (let ((kind (%node-kind node)))
      (cond ((= kind %n-gref) (set! references (cons (cons (part 0) (%node-place node)) references)))
            ((= kind %n-call)
             (set! calls (cons node calls))
             (walk (part 0))
             (for-each walk (part 1)))
            ((= kind %n-const) (check-constant node (part 0)))
            ((= kind %n-lref) #f)
            ((= kind %n-lset) (walk (part 1)))
            ((= kind %n-gset)
             (hash-set! defined (part 0) #t)
             (walk (part 1)))
            ((= kind %n-gdef)
             (let ((value (part 1)))
               (hash-set! defined (part 0)
                          (if (and (= (%node-kind value) %n-lambda) (not (hash-has-key? defined (part 0)))) value #t))
               (walk value)))
            ((= kind %n-if) (walk (part 0)) (walk (part 1)) (walk (part 2)))
            ((= kind %n-lambda) (walk (part 5)))
            ((= kind %n-case) (for-each walk (part 1)))
            ((or (= kind %n-let) (= kind %n-letrec)) (for-each walk (part 1)) (walk (part 2)))
            (else (for-each walk (part 0)))))) ; a sequence, and, or

  ;; #rx"\\d" means the letter d
  (define (check-constant node v)
    (if (and (regexp? v) (not (pregexp? v)) (string? (%regexp-source v)) (%regexp-match? %letter-class (%regexp-source v)))
        (at-place! "warning"
                   (string-append "in " (%shown v 80) " a backslash before a letter means that letter")
                   (%node-place node)
                   "For a class of characters write #px instead of #rx.")))

  (define (check-references)
    (let ((seen (make-hasheq)))
      (for-each
       (lambda (reference)
         (let ((cell (car reference)))
           (if (and (not (hash-has-key? seen cell)) (not (hash-has-key? defined cell))
                    (eq? (%cell-ref cell unbound) unbound))
               (let ((symbol (%cell-name cell)))
                 (hash-set! seen cell #t)
                 (at-place! (if dynamic? "warning" "error")
                            (string-append "unbound variable: " (symbol->string symbol))
                            (cdr reference)
                            (%unbound-advice symbol names #f))))))
       (reverse references))))

  (define (check-call node)
    (let ((operator (%node-part node 0)))
      (if (= (%node-kind operator) %n-gref)
          (let* ((cell (%node-part operator 0)) (operands (%node-part node 1)) (known (hash-ref defined cell #f)))
            (cond ((not known) (check-known node (%cell-name cell) (%cell-ref cell #f) operands))
                  ((vector? known) (check-own node (%cell-name cell) known operands)))))))

  ;; a procedure of the language, or of the session
  (define (check-known node symbol procedure operands)
    (if (procedure? procedure)
        (let ((spec (%keyword-spec procedure)))
          (cond (spec (check-keywords node symbol spec operands))
                ((not (procedure-arity-includes? procedure (length operands)))
                 (wrong-count! node symbol (length operands)
                               (string-append "The signature is " (%procedure-signature procedure))))
                ((memq symbol '(regexp pregexp)) (check-pattern node procedure operands))
                ((memq symbol '(string-contains? string-search-forward string-search-all string-split string-replace
                                string-prefix? string-suffix?))
                 (for-each (lambda (operand) (check-literal node symbol operand)) operands))))))
  ;; one of the program
  (define (check-own node symbol lambda-node operands)
    (let ((required (%node-part lambda-node 1)) (optional (%node-part lambda-node 2)) (rest? (%node-part lambda-node 3))
          (spec (%spec-of-node lambda-node)) (count (length operands)))
      (cond (spec (check-keywords node symbol spec operands))
            ((not (%within? count required optional rest?))
             (wrong-count! node symbol count
                           (string-append "It takes " (if rest? "at least " "") (number->string required)
                                          (if (and (> optional 0) (not rest?))
                                              (string-append " to " (number->string (+ required optional)))
                                              "")
                                          "."))))))
  (define (wrong-count! node symbol count hint)
    (at-place! "error"
               (string-append (symbol->string symbol) ": called with a wrong number of arguments: " (number->string count))
               (%node-place node) hint))
  ;; spec: see keyword_spec in lambda.c
  (define (check-keywords node symbol spec operands)
    (define known (vector-ref spec 4))
    (define hint (string-append "The signature is " (vector-ref spec 6)))
    (define (wrong! text) (at-place! "error" (string-append (symbol->string symbol) ": " text) (%node-place node) hint))
    (define (shown keyword) (string-append "#:" (keyword->string keyword)))
    (let loop ((rest operands) (count 0) (given '()))
      (cond ((null? rest)
             (for-each (lambda (keyword needed?)
                         (if (and needed? (not (memq keyword given))) (wrong! (string-append "the keyword " (shown keyword) " is missing"))))
                       known (vector-ref spec 5))
             (if (not (%within? count (vector-ref spec 1) (vector-ref spec 2) (vector-ref spec 3)))
                 (wrong-count! node symbol count hint)))
            ((and (= (%node-kind (car rest)) %n-const) (keyword? (%node-part (car rest) 0)))
             (let ((keyword (%node-part (car rest) 0)))
               (cond ((not (memq keyword known)) (wrong! (string-append "there is no keyword " (shown keyword))))
                     ((null? (cdr rest)) (wrong! (string-append "a value is missing after " (shown keyword))))
                     (else (loop (cddr rest) count (cons keyword given))))))
            (else (loop (cdr rest) (+ count 1) given)))))
  (define (check-literal node symbol operand)
    (let ((v (and (= (%node-kind operand) %n-const) (%node-part operand 0))))
      (if (and (string? v) (%regexp-match? %letter-class v))
          (at-place! "warning"
                     (string-append (symbol->string symbol) ": " (%shown v 80) " is a string, which is looked for as it stands")
                     (%node-place node)
                     (string-append "For a pattern write #px" (%shown v 80) ", in regexp-match?, regexp-split and the like.")))))
  (define (check-pattern node make operands)
    (if (and (pair? operands) (= (%node-kind (car operands)) %n-const) (string? (%node-part (car operands) 0)))
        (%catch (lambda (condition) (at-place! "error" (exn-message condition) (%node-place node) #f))
                (lambda () (make (%node-part (car operands) 0))))))

  (set! %checking? #t)
  (let ((forms (%catch (lambda (condition) (failed! condition) #f)
                       (lambda () (%program-of text env name)))))
    (when forms
      (check-forms forms env)
      (set! dynamic? (any (lambda (reference) (memq (%cell-name (car reference)) %defining-names)) references))
      (check-references)
      (for-each check-call (reverse calls))))
  (set! %checking? #f)
  (sort (reverse problems) < #:key (lambda (p) (+ (* 4096 (hash-ref p "line")) (hash-ref p "column")))))
