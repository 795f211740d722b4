;; runtime/check.scm — what is wrong with a program, told before any of it runs, or before it costs money.
;;
;; The forms are expanded, as they would be when their turn comes, and the syntax trees (ast.h) are looked
;; through, mostly by survey.c: for names that nothing defines, calls with a wrong number of arguments or an
;; unknown keyword, patterns that do not compile, LLM calls that will be refused.
;;
;; Three doors: session.check looks at a whole program in a copy of the session (%check-program); an
;; execution before its first LLM call is sent (%before-calls); what a model wrote before it runs
;; (%eval-checked). Nothing is asked of the host while forms are expanded, and no other fiber runs.
;;
;; Invariant: an execution is refused for what is certain to fail where it is reached, and may be reached.
;; Everything else is a warning.

(define %looking? #f)

;; ---- nodes ----
;; Those of ast.h, by their numbers.
(define-values (%n-const %n-gref %n-gdef %n-if %n-seq %n-lambda %n-case %n-call %n-let %n-letrec)
  (values 0 3 5 6 7 8 9 10 11 12))
(define (%node-kind node) (vector-ref node 0))
(define (%node-place node) (vector-ref node 1))
(define (%node-part node i) (vector-ref node (+ i 2)))
(define (%const-node? node) (= (%node-kind node) %n-const))
(define (%global-node? node) (= (%node-kind node) %n-gref))
;; the value of a literal, else `otherwise`
(define (%literal node otherwise) (if (%const-node? node) (%node-part node 0) otherwise))

;; What survey.c finds, and where.
(define-values (%f-reference %f-call %f-definition %f-assignment %f-regexp %f-local-call %f-earlier %f-always %f-llm-call)
  (values 0 1 2 3 4 5 6 7 8))
(define (%f-kind finding) (vector-ref finding 0))
(define (%f-owner finding) (vector-ref finding 1))
(define (%f-guarded? finding) (vector-ref finding 2))
(define (%f-node finding) (vector-ref finding 3))
(define (%f-more finding) (vector-ref finding 4))

;; What survey.c is told of library procedures, by the numbers of its enum special.
(define-values (%s-guard %s-pattern %s-text %s-defines %s-asks-arity %s-llm %s-ends %s-asks %s-takes-1 %s-takes-2 %s-makes)
  (values 1 2 3 4 5 6 7 8 9 10 11))
(define (%specials! code . names) (for-each (lambda (name) (%special! name code)) names))
(%specials! %s-guard '%catch '%catch-or-reraise '%with-handlers 'with-exception-handler)
(%specials! %s-pattern 'regexp 'pregexp 'regexp-match 'regexp-match? 'regexp-match-exact? 'regexp-match*
            'regexp-match-positions 'regexp-match-positions* 'regexp-replace 'regexp-replace* 'regexp-split)
(%specials! %s-text 'string-contains? 'string-search-forward 'string-search-all 'string-split 'string-replace
            'string-prefix? 'string-suffix?)
(%specials! %s-defines 'eval 'unsafe-exec-sub-output 'unsafe-overwrite)
(%specials! %s-asks-arity 'procedure-arity 'procedure-arity-includes?)
(%specials! %s-llm 'llm-query 'llm-query-async 'unsafe-raw-query 'cached-query)
(%specials! %s-ends 'finish 'finish-var 'exit)
(%specials! %s-asks 'map-async 'parallel 'race 'vote 'ensemble 'ensemble-vote 'fan-out-aggregate 'tree-reduce 'tiered
            'active-learning 'fold-sequential 'iterate-until 'critique-refine 'fork-map)
(%specials! %s-takes-1 '%record-predicate '%struct-accessor '%record-accessor)
(%specials! %s-takes-2 '%struct-modifier '%record-modifier)
(%specials! %s-makes '%struct-constructor)
;; and of the arguments of LLM calls: their places in what it finds
(define %llm-keywords
  (make-hasheq '((#:model . 0) (#:temperature . 1) (#:max-tokens . 2) (#:json . 3) (#:recursive . 4) (#:instruction . 5)
                 (#:image . 6) (#:images . 6))))

;; ---- keywords ----
;; A procedure with keyword parameters is one of a rest list: (lambda args (let ((v (%keyword-arguments
;; spec args))) …)). Its spec (see keyword_spec in lambda.c), or #f.
(define (%spec-of-node lambda-node)
  (let ((body (%node-part lambda-node 5)))
    (and (= (%node-kind body) %n-let)
         (pair? (%node-part body 1))
         (let ((init (car (%node-part body 1))))
           (and (= (%node-kind init) %n-call)
                (pair? (%node-part init 1))
                (let ((spec (%literal (car (%node-part init 1)) #f)))
                  (and (vector? spec)
                       (= (vector-length spec) 7)
                       (pair? (vector-ref spec 4))
                       (string? (vector-ref spec 6))
                       spec)))))))
(define (%within? count required optional rest?)
  (and (<= required count) (or rest? (<= count (+ required optional)))))
(define (%keyword-shown keyword) (string-append "#:" (keyword->string keyword)))

;; ---- expanding ahead ----
;; What is known of a program, as a vector, which costs less than a record:
;;   0 the trees of what runs and of what is to come, the last first
;;   1 the trees of what has run
;;   2 what went wrong: (condition . the trees before it)
;;   3 whether all of it could be looked into
;;   4 the forms that are being looked at, 5 what comes after them, 6 their environment (see %expand-list!)
(define (%make-look trees done) (vector trees done '() #t '() '() #f))
(define (%certain-condition? condition)
  (and (exn? condition) (or (exn:fail:syntax? condition) (exn:fail:read? condition))))
(define (%look-failed! look condition)
  (if (not (%certain-condition? condition)) (vector-set! look 3 #f))
  (vector-set! look 2 (cons (cons condition (vector-ref look 0)) (vector-ref look 2))))

;; Expand the forms of a list, in order, and put what they became in their places. Most expansions ask for nothing;
;; (expand form env state request) goes on with one that does, or begins with a library, whose state is #f. It gives a
;; tree or a splice, or #f: then neither this form nor those after it can be looked into, and the result is #f.
(define (%look-at-forms! look forms env expand)
  (vector-set! look 5 '())
  (let again ((pairs forms) (env env))
    (let* ((done (%expand-list! look pairs env 'define-library))
           (outcome (if (or (eq? done #t) (exn? done))
                        done
                        (%catch values (lambda () (%look-at-rest! look done expand))))))
      (cond ((boolean? outcome) outcome)
            (else
             (let ((here (vector-ref look 4)) (env (vector-ref look 6)))
               (%look-failed! look outcome)
               (and (%certain-condition? outcome) (again (cdr here) env))))))))
;; done: what %expand-list! gave. Handlers cost, so they are made for the forms that ask for something.
(define (%look-at-rest! look done expand)
  (if (or (eq? done #t) (exn? done))
      done
      (let* ((pairs (vector-ref look 4)) (form (car pairs)) (env (vector-ref look 6))
             (r (if done (expand form env (car done) (cdr done)) (expand form env #f #f))))
        (cond ((not r)
               (vector-set! look 3 #f)
               #f)
              ((eq? (vector-ref r 0) '%splice)
               (set-car! pairs (%expanded form r))
               (vector-set! look 5 (cons (cons (cdr pairs) env) (vector-ref look 5)))
               (%look-at-rest! look (%expand-list! look (vector-ref r 1) (vector-ref r 2) 'define-library) expand))
              (else
               (set-car! pairs (%expanded form r))
               (vector-set! look 0 (cons r (vector-ref look 0)))
               (%look-at-rest! look (%expand-list! look (cdr pairs) env 'define-library) expand))))))

;; The tree of a form whose turn has not come. #f: it needs what earlier forms do as they run (the code of a
;; macro), or what only the host has.
(define (%expand-ahead form env state request)
  (and state
       (let loop ((r request))
         (case (vector-ref r 0)
           ((%call)
            (%expand-give! state (apply (vector-ref r 1) (vector-ref r 2)))
            (loop (%expand-run state)))
           ((%eval %load-library %library-exists? %include) #f)
           (else r)))))

;; (finish …), whatever comes: nothing after it runs. `depth` bounds the look.
(define (%always-finishes? node depth)
  (let ((kind (vector-ref node 0)))
    (cond ((eq? kind %n-call)
           (let ((operator (vector-ref node 2)))
             (and (eq? (vector-ref operator 0) %n-gref) (eqv? (%cell-special (vector-ref operator 2)) %s-ends))))
          ((eq? depth 0) #f)
          ((eq? kind %n-seq) (any (lambda (node) (%always-finishes? node (- depth 1))) (vector-ref node 2)))
          ((eq? kind %n-if)
           (and (%always-finishes? (vector-ref node 3) (- depth 1)) (%always-finishes? (vector-ref node 4) (- depth 1))))
          ((or (eq? kind %n-let) (eq? kind %n-letrec)) (%always-finishes? (vector-ref node 4) (- depth 1)))
          (else #f))))

;; ---- problems ----
;; A problem as a vector. hard?: #t where it is certain to fail where it is reached, `advice` where it only looks
;; like a slip; reached?: that may happen now.
(define (%problem hard? reached? message line column hint [type "exn:fail:contract"])
  (vector hard? reached? message (or line 0) (or column 0) (or hint "") type))
(define (%problem-hard? p) (eq? (vector-ref p 0) #t))
(define (%problem-advice? p) (eq? (vector-ref p 0) 'advice))
(define (%problem-fatal? p) (and (%problem-hard? p) (vector-ref p 1)))
(define (%problem-message p) (vector-ref p 2))
(define (%problem-line p) (vector-ref p 3))
(define (%problem-column p) (vector-ref p 4))
(define (%problem-hint p) (vector-ref p 5))
(define (%problem-type p) (vector-ref p 6)) ; of the condition that it would be
(define (%problem-before? a b)
  (or (< (%problem-line a) (%problem-line b))
      (and (= (%problem-line a) (%problem-line b)) (< (%problem-column a) (%problem-column b)))))
(define (%place-line place) (arithmetic-shift place -12))
(define (%place-column place) (bitwise-and place 4095))

(define (%problem-of-trouble trouble names)
  (let ((condition (car trouble)) (reached? (not (any (lambda (tree) (%always-finishes? tree 20)) (cdr trouble)))))
    (cond ((%certain-condition? condition)
           (%problem #t reached? (exn-message condition) (%condition-mark condition 3) (%condition-mark condition 4)
                     (%condition-advice condition names) (symbol->string (%rtd-name (%record-rtd condition)))))
          ((exn? condition)
           (%problem #f #f (string-append "this form cannot be checked before the program runs: " (exn-message condition))
                     (%condition-mark condition 3) (%condition-mark condition 4) (%condition-advice condition names)))
          (else (%problem #f #f "this form cannot be checked before the program runs" #f #f #f)))))

;; Most programs have none. So first a quick look: #f, or the LLM calls that the host has to judge, as below. A finding
;; that is a call with more than its node has a pattern, and nothing else about it.
(define (%nothing-found look)
  (and (null? (vector-ref look 2))
       (%calls-found look (%survey (append (vector-ref look 1) (vector-ref look 0)) (%make-hash 1 #f) %llm-keywords #f))))
(define (%calls-found look findings)
  (let loop ((findings findings) (calls '()))
    (if (null? findings)
        (and (or (null? calls) (%all-reached? (vector-ref look 0))) calls)
        (let ((finding (car findings)))
          (cond ((eq? (vector-ref finding 0) %f-llm-call)
                 (and (%told-of finding)
                      (loop (cdr findings) (if (%f-guarded? finding) calls (cons finding calls)))))
                ((and (eq? (vector-ref finding 0) %f-call) (vector-ref finding 4))
                 (let ((node (vector-ref finding 3)))
                   (and (%pattern? (%node-part (car (%node-part node 1)) 0)
                                   (eq? (%cell-ref (%node-part (%node-part node 0) 0) #f) pregexp))
                        (loop (cdr findings) calls))))
                (else #f))))))
(define (%pattern? text px?)
  (%catch (lambda (condition) #f) (lambda () (%make-regexp text px?) #t)))
(define (%all-reached? trees) (or (null? trees) (not (any (lambda (tree) (%always-finishes? tree 20)) (cdr trees)))))

;; The trees with what of them may still run: #t all of it, `closures` the procedures that it made, #f nothing.
(define (%trees-with-runs look)
  (append
   (map (lambda (tree) (cons tree (and (= (%node-kind tree) %n-gdef) 'closures))) (vector-ref look 1))
   (let loop ((trees (reverse (vector-ref look 0))) (reached? #t))
     (if (null? trees)
         '()
         (cons (cons (car trees) reached?)
               (loop (cdr trees) (and reached? (not (%always-finishes? (car trees) 20)))))))))

;; What the host is to judge of an LLM call with literal arguments; #f: it would be refused before. (survey.c)
(define (%told-of finding) (vector-ref (vector-ref finding 4) 7))
(define (%why-refused finding)
  (let* ((literals (%f-more finding)) (known (lambda (i) (let ((v (vector-ref literals i))) (if (%default? v) #f v))))
         (who (symbol->string (%cell-name (%node-part (%node-part (%f-node finding) 0) 0)))))
    (or (%call-refusal who (known 0) (known 1) (known 2) (known 3) (known 4))
        (and (equal? (known 5) "") (%no-instruction who))
        (string-append who ": #:instruction must be a string, got " (%bounded-text (known 5))))))

;; The problems of a look, in the order of their places, and the LLM calls whose literal arguments the host
;; has to judge, as findings, with whether the execution is refused for them.
(define (%problems look)
  (define problems '())
  (define literal-calls '())
  (define names #f) ; of what is visible: wanted for hints alone
  (define (visible-names) (if (not names) (set! names (%visible-names))) names)
  (define defined (%make-hash 1 #f))   ; cell -> the node of its one definition, or #t: something else, or more than one
  (define assigned (%make-hash 1 #f))  ; cells that may have another value any time
  (define owners (%make-hash 1 #f))    ; cell of a procedure -> #t: it may be called
  (define edges (%make-hash 1 #f))     ; cell of a procedure -> cells that it refers to
  (define dynamic? #f)
  (define asks-arity? #f)
  (define findings '())            ; (finding . what of its form may still run)

  (define (reached? entry)
    (let ((runs (cdr entry)) (owner (%f-owner (car entry))))
      (cond ((not runs) #f)
            ((boolean? owner) (or owner (eq? runs #t)))
            (else (hash-ref owners owner #f)))))
  (define (add! hard? entry place message hint [type "exn:fail:contract"])
    (set! problems
          (cons (%problem (and (not (%f-guarded? (car entry))) hard?) (reached? entry) message
                          (%place-line place) (%place-column place) hint type)
                problems)))

  ;; what is defined, and what refers to what
  (define (note! entry)
    (let* ((finding (car entry)) (kind (%f-kind finding)))
      (cond ((= kind %f-definition)
             (let ((cell (%node-part (%f-node finding) 0)))
               (hash-set! defined cell
                          (if (or (hash-has-key? defined cell) (%f-more finding)) #t (%node-part (%f-node finding) 1)))))
            ((= kind %f-assignment) (hash-set! assigned (%node-part (%f-node finding) 0) #t))
            ((= kind %f-reference)
             (let ((cell (%node-part (%f-node finding) 0)))
               (let ((special (%cell-special cell)))
                 (cond ((eqv? special %s-defines) (set! dynamic? #t))
                       ((eqv? special %s-asks-arity) (set! asks-arity? #t))))
               (refers! (%f-owner finding) cell)))
            ((= kind %f-call)
             (let ((operator (%node-part (%f-node finding) 0)))
               (refers! (%f-owner finding) (%node-part operator 0)))))))
  (define (refers! owner cell)
    (if (not (boolean? owner)) (hash-set! edges owner (cons cell (hash-ref edges owner '())))))
  (define (reach! cell)
    (if (not (hash-ref owners cell #f))
        (begin
          (hash-set! owners cell #t)
          (for-each reach! (hash-ref edges cell '())))))
  (define (reach-from! entry)
    (let* ((finding (car entry)) (kind (%f-kind finding)))
      (if (and (cdr entry) (boolean? (%f-owner finding)))
          (cond ((= kind %f-reference) (reach! (%node-part (%f-node finding) 0)))
                ((= kind %f-call) (reach! (%node-part (%node-part (%f-node finding) 0) 0)))))))

  ;; names that nothing defines: each is told once, where it surely fails, if it does
  (define (check-references)
    (let ((unbound (%make-hash 1 #f)))
      (for-each
       (lambda (entry)
         (if (= (%f-kind (car entry)) %f-reference)
             (let ((cell (%node-part (%f-node (car entry)) 0)))
               (if (and (not (hash-has-key? defined cell))
                        (eq? (%cell-ref cell %none) %none)
                        (not (%definition-of (%cell-name cell) %program-forms))) ; in a form that is told of already
                   (hash-set! unbound cell (cons entry (hash-ref unbound cell '())))))))
       findings)
      (for-each
       (lambda (entries)
         (let* ((sorted (sort (cdr entries) < #:key (lambda (entry) (%node-place (%f-node (car entry))))))
                (sure (find (lambda (entry) (and (reached? entry) (not (%f-guarded? (car entry))))) sorted))
                (entry (or sure (car sorted))) (symbol (%cell-name (car entries))))
           (add! (and (not dynamic?) (vector-ref look 3)) entry (%node-place (%f-node (car entry)))
                 (string-append "unbound variable: " (symbol->string symbol))
                 (string-append (%unbound-advice symbol (visible-names) #f) (also-in (remq entry sorted)))
                 "exn:fail:contract:variable")))
       (hash->list unbound))))
  (define (also-in entries)
    (if (null? entries)
        ""
        (let ((lines (map (lambda (entry) (number->string (%place-line (%node-place (%f-node (car entry))))))
                          (take entries (min 5 (length entries))))))
          (string-append " It is also used in line " (string-join lines ", ")
                         (if (> (length entries) 5) ", …" "") "."))))

  ;; calls
  (define (check-call entry)
    (let* ((node (%f-node (car entry))) (operator (%node-part node 0)) (operands (%node-part node 1)))
      (if (%global-node? operator)
          (let* ((cell (%node-part operator 0)) (known (or (hash-ref assigned cell #f) (hash-ref defined cell #f))) (symbol (%cell-name cell)))
            (cond ((not known) (check-known entry cell symbol (%cell-ref cell #f) operands))
                  ((vector? known) (check-own entry symbol known operands))))
          (let ((procedure (%local-procedure (%f-more (car entry)))))
            (if procedure
                (check-lambda entry (or (%node-part procedure 0) 'lambda) procedure operands))))))
  ;; a procedure of the language, or of the session
  (define (check-known entry cell symbol procedure operands)
    (if (procedure? procedure)
        (let ((spec (%keyword-spec procedure)))
          (cond (spec (check-keywords entry symbol spec operands))
                ((not (procedure-arity-includes? procedure (length operands)))
                 (wrong-count! entry symbol (length operands) (string-append "The signature is " (%procedure-signature procedure))))
                ((eqv? (%cell-special cell) %s-pattern) (check-pattern entry procedure operands))
                ((eqv? (%cell-special cell) %s-text) (check-texts entry symbol operands))))))
  ;; one that the program defines
  (define (check-own entry symbol value operands)
    (let ((kind (%node-kind value)) (count (length operands)))
      (cond ((= kind %n-lambda) (check-lambda entry symbol value operands))
            ((= kind %n-case)
             (if (not (any (lambda (l) (%within? count (%node-part l 1) (%node-part l 2) (%node-part l 3))) (%node-part value 1)))
                 (wrong-count! entry symbol count "It takes another number of them.")))
            (else
             (let ((needed (%struct-arity value defined)))
               (if (and needed (not (= count needed)))
                   (wrong-count! entry symbol count (string-append "It takes " (number->string needed) "."))))))))
  (define (check-lambda entry symbol lambda-node operands)
    (let ((required (%node-part lambda-node 1)) (optional (%node-part lambda-node 2)) (rest? (%node-part lambda-node 3))
          (spec (%spec-of-node lambda-node)) (count (length operands)))
      (cond (spec (check-keywords entry symbol spec operands))
            ((not (%within? count required optional rest?))
             (wrong-count! entry symbol count
                           (string-append "It takes " (if rest? "at least " "") (number->string required)
                                          (if (and (> optional 0) (not rest?))
                                              (string-append " to " (number->string (+ required optional)))
                                              "")
                                          "."))))))
  (define (wrong-count! entry symbol count hint)
    (add! (not asks-arity?) entry (%node-place (%f-node (car entry)))
          (string-append (symbol->string symbol) ": called with a wrong number of arguments: " (number->string count))
          hint "exn:fail:contract:arity"))
  ;; spec: see keyword_spec in lambda.c; whether nothing is wrong
  (define (check-keywords entry symbol spec operands)
    (define known (vector-ref spec 4))
    (define hint (string-append "The signature is " (vector-ref spec 6)))
    (define (wrong! text)
      (add! #t entry (%node-place (%f-node (car entry))) (string-append (symbol->string symbol) ": " text) hint)
      #f)
    (let loop ((rest operands) (count 0) (given '()))
      (cond ((null? rest)
             (let ((missing (find values (map (lambda (keyword needed?) (and needed? (not (memq keyword given)) keyword))
                                              known (vector-ref spec 5)))))
               (cond (missing (wrong! (string-append "the keyword " (%keyword-shown missing) " is missing")))
                     ((not (%within? count (vector-ref spec 1) (vector-ref spec 2) (vector-ref spec 3)))
                      (wrong-count! entry symbol count hint)
                      #f)
                     (else #t))))
            ((keyword? (%literal (car rest) #f))
             (let ((keyword (%literal (car rest) #f)))
               (cond ((not (memq keyword known)) (wrong! (string-append "there is no keyword " (%keyword-shown keyword))))
                     ((memq keyword given) (wrong! (string-append "the keyword " (%keyword-shown keyword) " is given twice")))
                     ((null? (cdr rest)) (wrong! (string-append "a value is missing after " (%keyword-shown keyword))))
                     (else (loop (cddr rest) count (cons keyword given))))))
            (else (loop (cdr rest) (+ count 1) given)))))

  ;; literal patterns, and literal texts that read like one
  (define (check-pattern entry procedure operands)
    (let ((v (and (pair? operands) (%literal (car operands) #f))))
      (if (string? v)
          (%catch (lambda (condition)
                    (add! #t entry (%node-place (%f-node (car entry))) (exn-message condition) #f))
                  (lambda () (%make-regexp v (eq? procedure pregexp)))))))
  (define (check-texts entry symbol operands)
    (for-each (lambda (operand)
                (let ((v (%literal operand #f)))
                  (if (and (string? v) (%regexp-match? %letter-class v))
                      (add! 'advice entry (%node-place (%f-node (car entry)))
                            (string-append (symbol->string symbol) ": " (%shown v 80) " is a string, which is looked for as it stands")
                            (string-append "For a pattern write #px" (%shown v 80) ", in regexp-match?, regexp-split and the like.")))))
              operands))
  ;; #rx"\\d" means the letter d
  (define (check-regexp entry)
    (let* ((node (%f-node (car entry))) (v (%node-part node 0)))
      (if (and (not (pregexp? v)) (string? (%regexp-source v)) (%regexp-match? %letter-class (%regexp-source v)))
          (add! 'advice entry (%node-place node) (string-append "in " (%shown v 80) " a backslash before a letter means that letter")
                "For a class of characters write #px instead of #rx."))))

  ;; a name in the code of a procedure that an earlier program defined
  (define told (%make-hash 1 #f))
  (define (check-earlier entry)
    (let* ((more (%f-more (car entry))) (cell (vector-ref more 0)) (in (vector-ref more 1)) (symbol (%cell-name cell)))
      (if (not (or (hash-has-key? defined cell) (hash-has-key? defined in) (hash-has-key? told cell)))
          (begin
            (hash-set! told cell #t)
            (add! (not (or dynamic? (vector-ref more 2) (not (vector-ref look 3)) (hash-has-key? assigned in)
                           (hash-has-key? assigned (%node-part (%f-node (car entry)) 0)) (hash-has-key? assigned cell)))
                  entry (%node-place (%f-node (car entry)))
                  (string-append "unbound variable: " (symbol->string symbol) ", in " (symbol->string (%cell-name in))
                                 ", which an earlier program defined")
                  (%unbound-advice symbol (visible-names) #f) "exn:fail:contract:variable")))))

  ;; an answer as the test of an if, when or cond
  (define (check-test entry)
    (let ((who (symbol->string (%cell-name (%node-part (%node-part (%f-node (car entry)) 0) 0)))))
      (add! #f entry (%node-place (%f-node (car entry)))
            (string-append who ": its result is the test of a condition, and is always true, whatever the model answers")
            "Compare the text: (equal? (string-trim (syntax-e (llm-query …))) \"yes\").")))

  ;; what a vendor's model takes is the host's to say; what no call takes is said here
  (define (check-llm-call entry)
    (if (%told-of (car entry))
        (set! literal-calls (cons (cons (car entry) (and (reached? entry) (not (%f-guarded? (car entry))))) literal-calls))
        (add! #t entry (%node-place (%f-node (car entry))) (%why-refused (car entry)) #f)))

  (let ((trees (%trees-with-runs look)))
    (for-each (lambda (runs)
                (let ((trees (filter-map (lambda (t) (and (eq? (cdr t) runs) (car t))) trees)))
                  (if (pair? trees)
                      (for-each (lambda (finding) (set! findings (cons (cons finding runs) findings)))
                                (%survey trees (%make-hash 1 #f) %llm-keywords #t)))))
              '(#t closures #f)))
  (for-each note! findings)
  (for-each reach-from! findings)
  (check-references)
  (for-each (lambda (entry)
              (let ((kind (%f-kind (car entry))))
                (cond ((or (= kind %f-call) (= kind %f-local-call)) (check-call entry))
                      ((= kind %f-llm-call) (check-llm-call entry))
                      ((= kind %f-earlier) (check-earlier entry))
                      ((= kind %f-always) (check-test entry))
                      ((= kind %f-regexp) (check-regexp entry)))))
            findings)
  (if (pair? (vector-ref look 2))
      (for-each (lambda (trouble) (set! problems (cons (%problem-of-trouble trouble (visible-names)) problems)))
                (vector-ref look 2)))
  (values (sort problems %problem-before?) literal-calls))

;; How many arguments a struct's procedure takes, by the node that makes it; #f where that is unknown.
(define (%struct-arity node defined)
  (and (= (%node-kind node) %n-call)
       (%global-node? (%node-part node 0))
       (let ((special (%cell-special (%node-part (%node-part node 0) 0))))
         (cond ((eqv? special %s-takes-1) 1)
               ((eqv? special %s-takes-2) 2)
               ((eqv? special %s-makes) (%struct-field-count (car (%node-part node 1)) defined 10))
               (else #f)))))
(define (%struct-field-count type defined depth)
  (let* ((made (and (> depth 0) (%global-node? type) (hash-ref defined (%node-part type 0) #f)))
         (operands (and (vector? made) (= (%node-kind made) %n-call) (%node-part made 1))))
    (and operands
         (= (length operands) 8)
         (let ((fields (%literal (list-ref operands 2) #f)) (automatic (%literal (list-ref operands 4) #f)) (parent (cadr operands)))
           (and (vector? fields) (exact-integer? automatic)
                (let ((inherited (if (%const-node? parent) (and (not (%literal parent #t)) 0) (%struct-field-count parent defined (- depth 1)))))
                  (and inherited (+ inherited (- (vector-length fields) automatic)))))))))

;; ---- words ----
(define (%problem-text p) (string-append (%problem-message p) (%problem-place p) (%problem-advised p)))
(define (%problem-place p)
  (if (= (%problem-line p) 0)
      ""
      (string-append " (line " (number->string (%problem-line p)) ", column " (number->string (%problem-column p)) ")")))
(define (%problem-advised p)
  (if (string-null? (%problem-hint p)) "" (string-append ". " (%problem-hint p))))

;; One message for all of them: to mend them one at a time would cost a turn each.
(define %most-told 30)
(define (%refusal-text problems found)
  (let ((count (length problems)))
    (if (= count 1)
        (string-append (%problem-message (car problems)) (%problem-place (car problems)) ", " found
                       (%problem-advised (car problems)))
        (string-append (number->string count) " problems, " found ":"
                       (%string-concatenate
                        (map (lambda (p) (string-append "\n- " (%problem-text p))) (take problems (min count %most-told))))
                       (if (> count %most-told) (string-append "\n- and " (number->string (- count %most-told)) " more") "")))))
(define %before-first-call "found before the first LLM call was sent")
(define %before-it-ran "found before any of it ran")

;; ---- session.check: a whole program, which does not run ----
;; In a copy of the session, so macros may run, and libraries be loaded.
(define (%check-program text env name)
  (let ((look (%make-look '() '())))
    (set! %looking? #t)
    (let ((forms (%catch (lambda (condition) (%look-failed! look condition) '())
                         (lambda () (%program-of text env name)))))
      (%keep-program-forms!)
      (define (expand form env state request)
        (cond (state (%answered state request name))
              (else ; a library: what imports it needs it
               (%eval-form form env name)
               (%expand-form '(if #f #f) env name))))
      (let loop ((rest forms)) ; a form that cannot be looked into does not hide the others
        (when (pair? rest)
          (let ((next (cdr rest)))
            (set-cdr! rest '())
            (%look-at-forms! look rest env expand)
            (loop next)))))
    (set! %looking? #f)
    (let-values (((problems literal-calls) (%problems look)))
      (map (lambda (p)
             (hash "severity" (if (%problem-hard? p) "error" "warning") "message" (%problem-message p)
                   "line" (%problem-line p) "column" (%problem-column p) "hint" (%problem-hint p)))
           (sort (append problems (%judged literal-calls)) %problem-before?)))))

;; What the host says of LLM calls with literal arguments: problems. (finding . whether it may be reached)
(define (%judged calls)
  (if (null? calls)
      '()
      (filter-map (lambda (call message)
                    (and (string? message)
                         (let ((place (%node-place (%f-node (car call)))))
                           (%problem (not (%f-guarded? (car call))) (cdr call) message (%place-line place) (%place-column place) #f))))
                  calls
                  (%request "check-calls" (map (lambda (call) (%told-of (car call))) calls)))))

;; ---- what a model wrote: before it runs ----
(define (%eval-checked text env name)
  (let* ((forms (%program-of text env name)) (look (%make-look '() '())) (fiber %current-fiber))
    (let*-values (((to-come) (list (cons forms env))) ((calls) (%look-quickly! look to-come))
                  ((problems literal-calls)
                   (if calls (values '() (map (lambda (call) (cons call #t)) calls)) (%look-again! look))))
      (set! %current-fiber fiber)
      (let ((all (sort (append problems (%judged literal-calls)) %problem-before?)))
        (%warn-of-problems! all)
        (if (any %problem-fatal? all)
            (let* ((fatal (filter %problem-fatal? all))
                   (condition (%make-condition (string->symbol (%problem-type (car fatal))) (%refusal-text fatal %before-it-ran) '())))
              (%set-condition-mark! condition 3 (%problem-line (car fatal)))
              (%set-condition-mark! condition 4 (%problem-column (car fatal)))
              (%raise condition)))))
    (%run-forms forms env name %show #f '())))

;; (A search that finds nothing says itself that its text reads like a pattern.)
(define (%warn-of-problems! problems)
  (for-each (lambda (p) (if (not (or (%problem-fatal? p) (%problem-advice? p))) (%warn! (%problem-text p)))) problems))

;; The forms of the program are about to be replaced by what they become: messages speak of them as they were.
(define (%keep-program-forms!) (set! %program-forms (list-copy %program-forms)))

;; Expand what is to come, and look for problems. No other fiber runs: until the caller makes his the running one again.
;; Where nothing is wrong that is all: the LLM calls that the host has to judge, as findings. Else #f.
(define (%look-quickly! look to-come)
  (set! %current-fiber #f)
  (set! %looking? #t)
  (%keep-program-forms!)
  (let loop ((parts to-come))
    (if (and (pair? parts) (%look-at-forms! look (caar parts) (cdar parts) %expand-ahead))
        (loop (cdr parts))))
  (let ((calls (%nothing-found look)))
    (if calls (set! %looking? #f))
    calls))
;; Where something is: the problems, and the calls with whether the execution is refused for them.
(define (%look-again! look)
  (let-values (((problems calls) (%problems look)))
    (set! %looking? #f)
    (values problems calls)))

;; ---- an execution: before its first LLM call is sent ----
(define %refused? #f)          ; the execution is about to end
(define %calls-to-judge '())   ; literal calls that the next request tells the host of
(define %calls-told '())       ; those that a request told of

;; Whoever is about to send a call comes by. Where the program is refused nobody gets past.
(define (%before-calls)
  (if %program (%look-at-program!))
  (if %refused? (%park! "the end of the program" void)))

;; From here on no other fiber runs, so that one looks and none sends anything before it has seen. Most programs that
;; call are short, and nothing is wrong with them: that takes one look.
(define (%look-at-program!)
  (let ((fiber %current-fiber))
    (set! %current-fiber #f)
    (let ((program %program))
      (set! %program #f)
      (if (or (not program)
              (and (null? (vector-ref program 1))
                   (null? (%survey (vector-ref program 0) (%make-hash 1 #f) %llm-keywords #f))))
          (set! %current-fiber fiber)
          (%look-closely! (vector-ref program 0) (vector-ref program 1) fiber)))))

;; trees: of the form that runs, and of those that have run
(define (%look-closely! trees to-come fiber)
  (let ((look (if (null? trees) (%make-look '() '()) (%make-look (list (car trees)) (cdr trees)))))
    (%act-on-look! look (%look-quickly! look to-come) fiber)))
;; The same where C has expanded what is to come, and looked quickly: (findings . trees), those of all forms.
(define (%look-on! found)
  (let ((fiber %current-fiber) (done (let ((trees (vector-ref %program 0))) (if (null? trees) '() (cdr trees)))))
    (set! %current-fiber #f)
    (set! %program #f)
    (set! %looking? #t)
    (let* ((look (%make-look (let loop ((trees (cdr found))) (if (eq? trees done) '() (cons (car trees) (loop (cdr trees))))) done))
           (calls (%calls-found look (car found))))
      (if calls (set! %looking? #f))
      (%act-on-look! look calls fiber))))
(define (%act-on-look! look calls fiber)
  (if calls
      (set! %calls-to-judge calls)
      (let-values (((problems literal-calls) (%look-again! look)))
        (let ((fatal (filter %problem-fatal? problems)))
          (if (null? fatal)
              (set! %calls-to-judge (filter-map (lambda (call) (and (cdr call) (car call))) literal-calls))
              (set! %refused? #t))
          (set! %current-fiber fiber)
          (%warn-of-problems! problems)
          (if (pair? fatal) (%end-refused! (sort (append fatal (%judged literal-calls)) %problem-before?))))))
  (set! %current-fiber fiber))

(define (%end-refused! problems)
  (%end! (hash "status" "error"
               "error" (hash "type" (%problem-type (car problems)) "message" (%cut-text (%refusal-text problems %before-first-call))
                             "irritants" '() "line" (%problem-line (car problems)) "column" (%problem-column (car problems))))))

;; For the first request: what the host is to judge before it sends anything.
(define (%take-calls-to-judge!)
  (if (null? %calls-to-judge)
      '()
      (let ((calls %calls-to-judge))
        (set! %calls-told (append calls %calls-told))
        (set! %calls-to-judge '())
        (map %told-of calls))))

;; The host has found something: it sends no call any more. A fiber of nobody's asks what it was, and ends it.
(define (%refused-by-host!)
  (if (not %refused?)
      (begin
        (set! %refused? #t)
        (%enqueue! (%make-fiber 0 (lambda () (%end-refused! (sort (%judged (map (lambda (call) (cons call #t)) %calls-told)) %problem-before?))) (%dynamic-empty) #f)))))

;; At the end of every execution. Most have sent no call: their record is all that there is.
(define (%forget-program!)
  (if %program
      (set! %program #f)
      (%forget-look!)))
(define (%forget-look!)
  (set! %looking? #f)
  (set! %refused? #f)
  (set! %calls-to-judge '())
  (set! %calls-told '()))
