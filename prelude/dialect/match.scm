;; Pattern matching: Racket's match, with $, =, var and other words of Wright's.
;;
;; A pattern becomes decision code. `%match-pattern` gets the pattern, the identifier that holds
;; the value, what has been bound so far, the code for failure and a procedure `k` from the
;; bindings to the code for success. All identifiers in the code are fresh; the pattern's variables
;; are bound at the very end, around the clause's body, so that no expression inside a pattern and
;; no later clause sees them.

;; ---- the context of one expansion ----
(define-record-type %match-context
  (%make-match-context who rename fresh)
  #f
  (who %context-who)
  (rename %context-rename)
  (fresh %context-fresh))

(define (%is cx name . args) (cons ((%context-rename cx) name) args))
(define (%name cx name) ((%context-rename cx) name))
(define (%fresh cx name) ((%context-fresh cx) name))
(define (%bad-pattern cx message pattern) (%macro-error (%context-who cx) message pattern))

;; ---- struct names ----
;; The structs that programs have defined: a pattern (name p ...) with such a name is a struct
;; pattern; with another head it is none, and an error when the program is expanded.
(define %struct-names (make-hasheq))
(define (%register-struct! name kind)
  (if (not (%hash-ref %struct-names name #f)) (%meanings-changed!))
  (hash-set! %struct-names name kind))
(for-each (lambda (name) (%register-struct! name 'struct))
          '(exn exn:fail exn:fail:contract exn:fail:contract:arity exn:fail:contract:divide-by-zero
            exn:fail:contract:variable exn:fail:read exn:fail:read:eof exn:fail:syntax exn:fail:user exn:break
            exn:fail:unsupported exn:fail:filesystem exn:fail:network exn:fail:capability exn:fail:llm exn:fail:python
            exn:fail:budget exn:fail:timeout exn:fail:deadlock))

;; The structs of a program's own forms, before any of it is expanded: a procedure may match
;; structs that are defined below it.
(define (%note-structs! forms)
  (for-each (lambda (form)
              (if (and (pair? form) (memq (car form) '(struct define-struct)) (pair? (cdr form)))
                  (let ((name (if (pair? (cadr form)) (caadr form) (cadr form))))
                    (if (symbol? name) (%register-struct! name 'struct)))))
            forms))

(define (%struct-pattern-type cx name)
  (if (%hash-ref %struct-names (%id-symbol name) #f)
      (%id-append name "struct:" name)
      name))

;; ---- ellipses ----
;; `...` and `___` are 0 or more; `..k`, `__k` k or more; `**1` (Chibi's) 1 or more.
(define (%ellipsis-min x)
  (and (identifier? x)
       (let* ((s (symbol->string (%id-symbol x))) (n (string-length s)))
         (cond ((or (string=? s "...") (string=? s "___")) 0)
               ((string=? s "**1") 1)
               ((and (> n 2) (or (string-prefix? s "..") (string-prefix? s "__")))
                (let ((digits (substring s (if (and (> n 3) (char=? (string-ref s 2) #\.)) 3 2) n)))
                  (and (string->number digits) (exact-integer? (string->number digits)) (string->number digits))))
               (else #f)))))

;; The patterns of a list as items (pattern . #f) or (pattern . minimum); two values: the items and
;; the pattern of the tail ('() where the list is proper).
(define (%pattern-items patterns)
  (let loop ((patterns patterns) (items '()))
    (cond ((not (pair? patterns)) (values (reverse items) patterns))
          ((and (pair? (cdr patterns)) (%ellipsis-min (cadr patterns)))
           => (lambda (minimum) (loop (cddr patterns) (cons (cons (car patterns) minimum) items))))
          (else (loop (cdr patterns) (cons (cons (car patterns) #f) items))))))

;; ---- the variables of a pattern ----
(define (%wildcard? p) (%id-named? p '_))

(define (%pattern-variables cx pattern)
  (define found '())
  (define (add! id)
    (if (not (%find-id id found)) (set! found (cons id found))))
  (define (walk-all patterns)
    (cond ((pair? patterns) (walk (car patterns)) (walk-all (cdr patterns)))
          ((null? patterns) #f)
          (else (walk patterns))))
  (define (walk-quasi q)
    (cond ((vector? q) (walk-quasi (vector->list q)))
          ((%record? q) (walk-quasi (%record-items q)))
          ((not (pair? q)) #f)
          ((%id-named? (car q) 'unquote) (walk (cadr q)))
          ((%id-named? (car q) 'unquote-splicing) (walk (cadr q)))
          (else (walk-quasi (car q)) (walk-quasi (cdr q)))))
  (define (walk p)
    (cond ((identifier? p)
           (if (not (or (%wildcard? p) (%ellipsis-min p))) (add! p)))
          ((vector? p) (walk-all (vector->list p)))
          ((not (pair? p)) #f)
          ((not (identifier? (car p))) (walk-all p))
          ((%match-expansion p) => (lambda (expansion) (walk (car expansion))))
          (else
           (case (%id-symbol (car p))
             ((quote == not) #f)
             ((quasiquote) (walk-quasi (cadr p)))
             ((? app = regexp pregexp) (if (pair? (cdr p)) (walk-all (cddr p))))
             ((var) (add! (cadr p)))
             ((hash-table hash-table*)
              (for-each (lambda (entry) (if (pair? entry) (walk-all entry))) (cdr p)))
             ((hash hash*)
              (let ((pattern (%hash-pattern cx p)))
                (for-each (lambda (entry) (walk (cadr entry))) (cdr pattern))
                (if (pair? (car pattern)) (walk (caar pattern)))))
             ((struct) (walk-all (caddr p)))
             (($) (walk-all (cddr p)))
             ((%items)
              (for-each (lambda (item) (walk (car item))) (cadr p))
              (walk (caddr p)))
             ((struct*) (for-each (lambda (field) (walk (cadr field))) (caddr p)))
             ((list list-rest list* list-no-order cons vector and or box) (walk-all (cdr p)))
             (else
              (walk-all (if (%hash-ref %struct-names (%id-symbol (car p)) #f) (cdr p) p)))))))
  (walk pattern)
  (reverse found))

(define (%find-id id bindings)
  (let loop ((b bindings))
    (cond ((null? b) #f)
          ((eq? id (if (pair? (car b)) (caar b) (car b))) (car b))
          (else (loop (cdr b))))))

;; ---- expanders: (define-match-expander id transformer), whose patterns are rewritten before all else ----
(define %match-expanders (make-hasheq))      ; name -> procedure of the pattern
(define %match-expansions (make-hasheq))     ; pattern -> (expansion): the same each time it is looked at
(define (%match-expansion p)
  (let ((expander (%hash-ref %match-expanders (%id-symbol (car p)) #f)))
    (and expander
         (or (%hash-ref %match-expansions p #f)
             (let ((expansion (list (%call-syntax-transformer expander p (interaction-environment) (interaction-environment)))))
               (hash-set! %match-expansions p expansion)
               (%meanings-changed!) ; the program's own procedure: who knows what that rests on
               expansion)))))
(define (%register-match-expander! name expander as-expression)
  (hash-set! %match-expanders name expander)
  (%meanings-changed!)
  (lambda (form)
    (if as-expression
        (as-expression form)
        (%macro-error name "a match expander stands in a pattern only" form))))

;; ---- one pattern ----
(define (%match-pattern cx p v env fail k)
  (cond ((identifier? p) (%match-identifier cx p v env fail k))
        ((null? p) (%is cx 'if (%is cx 'null? v) (k env) (fail)))
        ((vector? p) (%match-vector cx (vector->list p) v env fail k))
        ((not (pair? p)) (%match-literal cx p v env fail k))
        ((not (list? p))
         (let-values (((items tail) (%pattern-items p)))
           (%match-items cx items tail v env fail k)))
        ((and (identifier? (car p)) (%match-expansion p))
         => (lambda (expansion) (%match-pattern cx (car expansion) v env fail k)))
        ((identifier? (car p)) (%match-headed cx (%id-symbol (car p)) p v env fail k))
        (else (%match-list cx p '() v env fail k))))

(define (%match-identifier cx p v env fail k)
  (cond ((%wildcard? p) (k env))
        ((%ellipsis-min p) (%bad-pattern cx "an ellipsis with nothing before it" p))
        ((%find-id p env)
         => (lambda (bound) (%is cx 'if (%is cx 'equal? v (cdr bound)) (k env) (fail))))
        (else (k (cons (cons p v) env)))))

(define (%match-literal cx datum v env fail k)
  (let ((quoted (%is cx 'quote datum)))
    (%is cx 'if
         (cond ((null? datum) (%is cx 'null? v))
               ((or (symbol? datum) (boolean? datum) (keyword? datum)) (%is cx 'eq? v quoted))
               ((or (number? datum) (char? datum)) (%is cx 'eqv? v quoted))
               (else (%is cx 'equal? v quoted)))
         (k env) (fail))))

(define (%match-headed cx head p v env fail k)
  (define (need low high)
    (if (not (<= low (length (cdr p)) high))
        (%bad-pattern cx "wrong number of parts in a pattern" p)))
  (case head
    ((quote) (need 1 1) (%match-literal cx (strip-syntactic-closures (cadr p)) v env fail k))
    ((quasiquote) (need 1 1) (%match-pattern cx (%quasi-pattern cx (cadr p)) v env fail k))
    ((%items) (%match-items cx (cadr p) (caddr p) v env fail k))
    ((list) (%match-list cx (cdr p) '() v env fail k))
    ((list* list-rest cons)
     (if (eq? head 'cons) (need 2 2) (need 1 1000))
     (let ((tail (%last-item (cdr p))))
       (%match-list cx (%all-but-last (cdr p)) (if (null? tail) (%is cx 'quote '()) tail) v env fail k)))
    ((list-no-order) (%match-no-order cx (cdr p) v env fail k))
    ((vector) (%match-vector cx (cdr p) v env fail k))
    ((and) (%match-and cx (cdr p) v env fail k))
    ((or) (%match-or cx (cdr p) v env fail k))
    ((not)
     (let loop ((ps (cdr p)))
       (if (null? ps)
           (k env)
           (let ((inner-fail (%match-fail cx)))
             ;; the pattern's failure is our success
             (%match-with-fail cx inner-fail (loop (cdr ps))
                               (%match-pattern cx (car ps) v env (car inner-fail) (lambda (env) (fail))))))))
    ((?)
     (need 1 1000)
     (%is cx 'if (list (cadr p) v) (%match-and cx (cddr p) v env fail k) (fail)))
    ((app =)
     (need 2 1000)
     (%match-app cx (cadr p) (cddr p) v env fail k))
    ((regexp pregexp)
     (need 1 2)
     (let ((m (%fresh cx "m")))
       `(,@(%is cx 'let) ((,m ,(%is cx (if (eq? head 'regexp) '%match-regexp '%match-pregexp) (cadr p) v)))
         ,(%is cx 'if m
               (if (null? (cddr p)) (k env) (%match-pattern cx (caddr p) m env fail k))
               (fail)))))
    ((hash-table hash-table*) (%match-hash-table cx (cdr p) v env fail k))
    ((hash hash*) (%match-hash cx p v env fail k))
    ((struct)
     (need 2 2)
     (%match-struct cx (cadr p) (caddr p) v env fail k))
    (($) (need 1 1000) (%match-struct cx (cadr p) (cddr p) v env fail k))
    ((struct*) (need 2 2) (%match-struct* cx (cadr p) (caddr p) v env fail k))
    ((box)
     (need 1 1)
     (let ((x (%fresh cx "x")))
       (%is cx 'if (%is cx 'box? v)
            `(,@(%is cx 'let) ((,x ,(%is cx 'unbox v))) ,(%match-pattern cx (cadr p) x env fail k))
            (fail))))
    ((var) (need 1 1) (k (cons (cons (cadr p) v) env)))
    ((==)
     (need 1 2)
     (%is cx 'if (if (null? (cddr p)) (%is cx 'equal? v (cadr p)) (list (caddr p) v (cadr p)))
          (k env) (fail)))
    ((unquote unquote-splicing) (%bad-pattern cx "an unquote outside a quasi-pattern" p))
    (else
     (if (%hash-ref %struct-names head #f)
         (%match-struct cx (car p) (cdr p) v env fail k)
         (%unknown-pattern cx head p)))))

;; Taken for a list of patterns, it would match hardly ever, and nobody would learn why.
(define %pattern-words
  '(quote quasiquote list list* list-rest cons list-no-order vector and or not ? app regexp pregexp hash hash* hash-table
    struct struct* box var ==))
(define (%unknown-pattern cx head p)
  (let ((close (%suggest head (append %pattern-words (hash-keys %struct-names)))))
    (%bad-pattern cx
                  (string-append
                   "there is no pattern, and no struct, named " (symbol->string head) "; "
                   (if (pair? close)
                       (string-append "did you mean " (%alternatives (map symbol->string close)) "?")
                       (string-append "define (struct " (symbol->string head)
                                      " (...)) above, or write (list ...) for a list of these")))
                  p)))

(define (%match-and cx ps v env fail k)
  (if (null? ps)
      (k env)
      (%match-pattern cx (car ps) v env fail
                      (lambda (env) (%match-and cx (cdr ps) v env fail k)))))

;; (app f p ...): one value for each p
(define (%match-app cx f ps v env fail k)
  (let ((xs (map (lambda (p) (%fresh cx "x")) ps)))
    (define (each ps xs env)
      (if (null? ps) (k env)
          (%match-pattern cx (car ps) (car xs) env fail (lambda (env) (each (cdr ps) (cdr xs) env)))))
    (if (= (length xs) 1)
        `(,@(%is cx 'let) ((,(car xs) (,f ,v))) ,(each ps xs env))
        `(,@(%is cx 'let-values) ((,xs (,f ,v))) ,(each ps xs env)))))

;; All alternatives bind the same variables: the rest is a procedure of them.
(define (%match-or cx ps v env fail k)
  (cond ((null? ps) (fail))
        ((null? (cdr ps)) (%match-pattern cx (car ps) v env fail k))
        ((every (lambda (p) (%simple-literal p)) ps)
         (%is cx 'if (%is cx 'memv v (%is cx 'quote (map (lambda (p) (unbox (%simple-literal p))) ps))) (k env) (fail)))
        (else
         (let* ((ids (filter (lambda (id) (not (%find-id id env))) (%pattern-variables cx (car ps))))
                (temps (map (lambda (id) (%fresh cx "or")) ids))
                (success (%fresh cx "matched")))
           (define (call-success env)
             (cons success
                   (map (lambda (id)
                          (let ((bound (%find-id id env)))
                            (if bound (cdr bound)
                                (%bad-pattern cx "every alternative of an or pattern must bind the same variables" (cons 'or ps)))))
                        ids)))
           `(,@(%is cx 'let) ((,success ,(%is cx 'lambda temps (k (append (map cons ids temps) env)))))
             ,(let loop ((ps ps))
                (if (null? (cdr ps))
                    (%match-pattern cx (car ps) v env fail call-success)
                    (let ((next (%match-fail cx)))
                      (let ((code (%match-pattern cx (car ps) v env (car next) call-success)))
                        (%match-with-fail cx next (loop (cdr ps)) code))))))))))

;; a literal that eqv? can tell: boxed, or #f
(define (%simple-literal p)
  (cond ((or (number? p) (char? p) (boolean? p)) (box p))
        ((and (pair? p) (%id-named? (car p) 'quote) (pair? (cdr p)) (symbol? (strip-syntactic-closures (cadr p))))
         (box (strip-syntactic-closures (cadr p))))
        (else #f)))

;; ---- failure ----
;; (fail-code . state): the code `(fail)` may be asked for several times. One use: the code itself
;; stands in its place; several: a local procedure.
(define (%match-fail cx)
  (let* ((name (%fresh cx "fail")) (uses 0) (call (list name)))
    (cons (lambda () (set! uses (+ uses 1)) call)
          (lambda (action)
            (case action ((uses) uses) ((name) name) (else call))))))

(define (%match-with-fail cx fail otherwise code)
  (let ((info (cdr fail)))
    (case (info 'uses)
      ((0) code)
      ((1) (let ((call (info 'call)))
             (set-car! call (%name cx 'let))
             (set-cdr! call (list '() otherwise))
             code))
      (else `(,@(%is cx 'let) ((,(info 'name) ,(%is cx 'lambda '() otherwise))) ,code)))))

;; ---- lists ----
(define (%match-list cx patterns tail v env fail k)
  (let-values (((items dotted) (%pattern-items patterns)))
    (%match-items cx items (if (null? tail) dotted tail) v env fail k)))

(define (%match-items cx items tail v env fail k)
  (cond ((null? items)
         (if (null? tail)
             (%is cx 'if (%is cx 'null? v) (k env) (fail))
             (%match-pattern cx tail v env fail k)))
        ((cdar items) (%match-ellipsis cx (caar items) (cdar items) (cdr items) tail v env fail k))
        (else
         (let* ((p (caar items)) (a (if (identifier? p) (%fresh cx (symbol->string (%id-symbol p))) (%fresh cx "a")))
                (last? (and (null? (cdr items)) (not (pair? tail)) (or (null? tail) (%wildcard? tail))))
                (d (if last? #f (%fresh cx "d"))))
           (define (rest env)
             (cond (d (%match-items cx (cdr items) tail d env fail k))
                   (else (k env))))
           (%is cx 'if
                (if (and last? (null? tail))
                    (%is cx 'and (%is cx 'pair? v) (%is cx 'null? (%is cx 'cdr v)))
                    (%is cx 'pair? v))
                `(,@(%is cx 'let) (,@(if (%wildcard? p) '() `((,a ,(%is cx 'car v))))
                                   ,@(if d `((,d ,(%is cx 'cdr v))) '()))
                  ,(%match-pattern cx p a env fail rest))
                (fail))))))

;; p ... before the items `after`
(define (%match-ellipsis cx p minimum after tail v env fail k)
  (let ((several? (any cdr after)))
    (cond ((and (null? after) (null? tail) (identifier? p) (not (%find-id p env)))
           ;; the whole rest of the list
           (%is cx 'if
                (if (eqv? minimum 0) (%is cx 'list? v)
                    (%is cx 'and (%is cx 'list? v) (%is cx '>= (%is cx 'length v) minimum)))
                (k (if (%wildcard? p) env (cons (cons p v) env)))
                (fail)))
          ((and (null? after) (null? tail) (eqv? minimum 0))
           (%match-repeat cx p v #f env fail
                          (lambda (rest env) (%is cx 'if (%is cx 'null? rest) (k env) (fail)))))
          (else
           (let ((n (%fresh cx "n")) (try (%fresh cx "try")) (fixed (length after)))
             (define (attempt count fail)
               (%match-repeat cx p v count env fail
                              (lambda (rest env) (%match-items cx after tail rest env fail k))))
             `(,@(%is cx 'let) ((,n ,(%is cx '- (%is cx '%pair-count v) (length (filter (lambda (i) (not (cdr i))) after)))))
               ,(if several?
                    ;; the longest run first
                    `(,@(%is cx 'let) ,try ((,n ,n))
                      ,(%is cx 'if (%is cx '>= n minimum)
                            (let* ((next (%match-fail cx)) (code (attempt n (car next))))
                              (%match-with-fail cx next `(,try ,(%is cx '- n 1)) code))
                            (fail)))
                    (%is cx 'if (%is cx '>= n minimum) (attempt n fail) (fail)))))))))

;; Matches p against `count` items of the list v (all of its pairs where count is #f), collecting
;; its variables, then goes on with (k rest env).
(define (%match-repeat cx p v count env fail k)
  (let* ((ids (%pattern-variables cx p))
         (accs (map (lambda (id) (%fresh cx "acc")) ids))
         (lists (map (lambda (id) (%fresh cx "list")) ids))
         (l (%fresh cx "l")) (n (%fresh cx "n")) (x (%fresh cx "x")) (loop (%fresh cx "each")))
    `(,@(%is cx 'let) ,loop ((,l ,v) ,@(if count `((,n ,count)) '())
                             ,@(map (lambda (acc) (list acc (%is cx 'quote '()))) accs))
      ,(%is cx 'if (if count (%is cx '> n 0) (%is cx 'pair? l))
            `(,@(%is cx 'let) ((,x ,(%is cx 'car l)))
              ,(%match-pattern cx p x '() fail
                               (lambda (inner)
                                 `(,loop ,(%is cx 'cdr l) ,@(if count (list (%is cx '- n 1)) '())
                                         ,@(map (lambda (id acc) (%is cx 'cons (cdr (%find-id id inner)) acc)) ids accs)))))
            `(,@(%is cx 'let) ,(map (lambda (list-id acc) (list list-id (%is cx 'reverse acc))) lists accs)
              ,(k l (append (map cons ids lists) env)))))))

(define (%pair-count v)
  (let loop ((v v) (n 0)) (if (pair? v) (loop (cdr v) (+ n 1)) n)))

(define (%match-vector cx patterns v env fail k)
  (let-values (((items tail) (%pattern-items patterns)))
    (if (any cdr items)
        (let ((l (%fresh cx "l")))
          (%is cx 'if (%is cx 'vector? v)
               `(,@(%is cx 'let) ((,l ,(%is cx 'vector->list v))) ,(%match-items cx items '() l env fail k))
               (fail)))
        (%is cx 'if (%is cx 'and (%is cx 'vector? v) (%is cx '= (%is cx 'vector-length v) (length items)))
             (let loop ((items items) (i 0) (env env))
               (if (null? items)
                   (k env)
                   (let ((x (%fresh cx "x")))
                     `(,@(%is cx 'let) ((,x ,(%is cx 'vector-ref v i)))
                       ,(%match-pattern cx (caar items) x env fail (lambda (env) (loop (cdr items) (+ i 1) env)))))))
             (fail)))))

;; Each pattern in turn takes some item of the list; a last p ... takes what is left.
(define (%match-no-order cx patterns v env fail k)
  (let-values (((items tail) (%pattern-items patterns)))
    (let loop ((items items) (v v) (env env) (fail fail))
      (cond ((or (null? items) (cdar items)) (%match-items cx items '() v env fail k))
            (else
             (let ((try (%fresh cx "try")) (before (%fresh cx "before")) (after (%fresh cx "after"))
                   (x (%fresh cx "x")) (rest (%fresh cx "rest")))
               `(,@(%is cx 'let) ,try ((,before ,(%is cx 'quote '())) (,after ,v))
                 ,(%is cx 'if (%is cx 'pair? after)
                       (let* ((next (%match-fail cx))
                              (code `(,@(%is cx 'let) ((,x ,(%is cx 'car after))
                                                       (,rest ,(%is cx 'append-reverse before (%is cx 'cdr after))))
                                      ,(%match-pattern cx (caar items) x env (car next)
                                                       (lambda (env) (loop (cdr items) rest env (car next)))))))
                         (%match-with-fail cx next
                                           `(,try ,(%is cx 'cons (%is cx 'car after) before) ,(%is cx 'cdr after))
                                           code))
                       (fail)))))))))

;; ---- hash tables ----
;; (hash-table (key p) ...): these entries in any order and no others; with a last `(key p) ...`, any number of more.
(define (%match-hash-table cx entries v env fail k)
  (let ((rest? (any (lambda (entry) (not (pair? entry))) entries))
        (constant? (lambda (key) (or (and (pair? key) (%id-named? (car key) 'quote))
                                     (string? key) (number? key) (char? key) (boolean? key) (keyword? key)))))
    (%is cx 'if (%is cx 'hash? v)
         (if (and (not rest?) (every (lambda (entry) (constant? (car entry))) entries))
             (%is cx 'if (%is cx '= (%is cx 'hash-count v) (length entries))
                  (%match-entries cx entries v env fail k)
                  (fail))
             (let ((l (%fresh cx "entries")) (cons-name (%name cx 'cons)))
               `(,@(%is cx 'let) ((,l ,(%is cx 'hash->list v)))
                 ,(%match-no-order cx
                                   (map (lambda (entry)
                                          (if (pair? entry) (list cons-name (car entry) (cadr entry)) entry))
                                        entries)
                                   l env fail k))))
         (fail))))

;; entries ((key p) ...), or (key p default), whose keys are expressions
(define (%match-entries cx entries v env fail k)
  (if (null? entries)
      (k env)
      (let ((x (%fresh cx "x")) (none (%name cx '%none)))
        `(,@(%is cx 'let) ((,x ,(%is cx '%hash-ref v (caar entries) none)))
          ,(if (pair? (cddar entries))
               `(,@(%is cx 'let) ((,x ,(%is cx 'if (%is cx 'eq? x none) (caddar entries) x)))
                 ,(%match-pattern cx (cadar entries) x env fail
                                  (lambda (env) (%match-entries cx (cdr entries) v env fail k))))
               (%is cx 'if (%is cx 'eq? x none)
                    (fail)
                    (%match-pattern cx (cadar entries) x env fail
                                    (lambda (env) (%match-entries cx (cdr entries) v env fail k)))))))))

;; (hash key p ... ... option) and (hash* [key p maybe-default] ... option), as in Racket. The option is
;; #:closed (these keys and no others: hash's own), #:open (at least these: that of hash*) or #:rest p,
;; a pattern for the table of the other keys. A default is #:default expression.
;; Gives (mode entry ...): the mode open, closed or (p); an entry (key p) or (key p default).
(define (%hash-pattern cx p)
  (define each-apart? (%id-named? (car p) 'hash*))
  (define (bad message part) (%bad-pattern cx message part))
  (define (entry-of part)
    (cond ((not (and (list? part) (memv (length part) '(2 4))))
           (bad "expected [key pattern] or [key pattern #:default value] in a hash* pattern" part))
          ((null? (cddr part)) part)
          ((eq? (caddr part) '#:default) (list (car part) (cadr part) (cadddr part)))
          (else (bad "expected #:default value in a hash* pattern" part))))
  (let loop ((parts (cdr p)) (entries '()) (mode (if each-apart? 'open 'closed)))
    (cond ((null? parts) (cons mode (reverse entries)))
          ((keyword? (car parts))
           (case (string->symbol (keyword->string (car parts)))
             ((open closed)
              (if (pair? (cdr parts)) (bad "nothing may follow #:open or #:closed in a hash pattern" p))
              (loop '() entries (string->symbol (keyword->string (car parts)))))
             ((rest)
              (if (not (and (pair? (cdr parts)) (null? (cddr parts)))) (bad "expected one pattern after #:rest, at the end" p))
              (loop '() entries (cdr parts)))
             (else (bad "a hash pattern ends with #:open, #:closed or #:rest pattern" p))))
          (each-apart? (loop (cdr parts) (cons (entry-of (car parts)) entries) mode))
          ((or (null? (cdr parts)) (keyword? (cadr parts)))
           (bad "a key without a pattern in a hash pattern" p))
          (else (loop (cddr parts) (cons (list (car parts) (cadr parts)) entries) mode)))))

(define (%match-hash cx p v env fail k)
  (let* ((pattern (%hash-pattern cx p)) (mode (car pattern)) (entries (cdr pattern))
         (optional? (any (lambda (entry) (pair? (cddr entry))) entries))
         (keys (map car entries)))
    (define (others) (cons (%name cx '%hash-without) (cons v keys)))
    (%is cx 'if (if (and (eq? mode 'closed) (not optional?))
                    (%is cx 'and (%is cx 'hash? v) (%is cx '= (%is cx 'hash-count v) (length entries)))
                    (%is cx 'hash? v))
         (%match-entries cx entries v env fail
                         (lambda (env)
                           (cond ((pair? mode)
                                  (let ((rest (%fresh cx "rest")))
                                    `(,@(%is cx 'let) ((,rest ,(others)))
                                      ,(%match-pattern cx (car mode) rest env fail k))))
                                 ((and (eq? mode 'closed) optional?)
                                  (%is cx 'if (%is cx 'hash-empty? (others)) (k env) (fail)))
                                 (else (k env)))))
         (fail))))
(define (%hash-without table . keys)
  (let loop ((keys keys) (left (if (immutable? table) table (%hash-immutable table))))
    (if (null? keys) left (loop (cdr keys) (hash-remove left (car keys))))))

;; ---- structs ----
(define (%match-struct cx name patterns v env fail k)
  (if (not (and (identifier? name) (list? patterns)))
      (%bad-pattern cx "expected a struct's name and patterns" name))
  (let* ((type (%struct-pattern-type cx name)) (count (length patterns)))
    (if (and (= count 1) (%id-named? (car patterns) '_) (%hash-ref %struct-names (%id-symbol name) #f))
        (%is cx 'if (%is cx '%record-is-a? v type) (k env) (fail))
        (%is cx 'if (%is cx '%struct-matches? v type count)
             (let loop ((ps patterns) (i 0) (env env))
               (cond ((null? ps) (k env))
                     ((%wildcard? (car ps)) (loop (cdr ps) (+ i 1) env))
                     (else
                      (let ((x (%fresh cx "x")))
                        `(,@(%is cx 'let) ((,x ,(%is cx '%record-ref v i)))
                          ,(%match-pattern cx (car ps) x env fail (lambda (env) (loop (cdr ps) (+ i 1) env))))))))
             (fail)))))

(define (%match-struct* cx name fields v env fail k)
  (let ((type (%struct-pattern-type cx name)))
    (%is cx 'if (%is cx '%record-is-a? v type)
         (let loop ((fields fields) (env env))
           (if (null? fields)
               (k env)
               (let ((x (%fresh cx "x")))
                 `(,@(%is cx 'let) ((,x (,(%id-append name name "-" (caar fields)) ,v)))
                   ,(%match-pattern cx (cadar fields) x env fail (lambda (env) (loop (cdr fields) env)))))))
         (fail))))

(define (%struct-matches? v type count)
  (and (%record-is-a? v type)
       (or (= count (%rtd-field-count type))
           (raise (%with-hint
                   (make-exn:fail:syntax
                    (string-append "match: wrong number of fields for structure " (symbol->string (%rtd-name type))
                                   ": expected " (number->string (%rtd-field-count type))
                                   " but got " (number->string count))
                    #f)
                   "Give one pattern for each field, inherited fields first; _ matches anything.")))))

;; ---- quasi-patterns ----
(define (%quasi-pattern cx q)
  (define (named? x name) (and (pair? x) (%id-named? (car x) name) (pair? (cdr x)) (null? (cddr x))))
  (define (is name . args) (cons ((%context-rename cx) name) args))
  (cond ((named? q 'unquote) (cadr q))
        ((vector? q)
         (let ((inner (%quasi-items cx (vector->list q))))
           (cons (%name cx 'vector) (%items->patterns cx (car inner)))))
        ((and (%record? q) (memq 'prefab (%rtd-flags (%record-rtd q))))
         (is 'and (is '? `(,@(is 'lambda) (v) ,(is '%same-prefab? 'v (is 'quote q))))
             (is 'app (%name cx '%record-items) (is '%items (map (lambda (x) (cons (%quasi-pattern cx x) #f)) (%record-items q)) '()))))
        ((pair? q)
         (let ((inner (%quasi-items cx q)))
           (is '%items (car inner) (cdr inner))))
        ((null? q) '())
        (else (is 'quote q))))

(define (%same-prefab? v q) (and (%record? v) (eq? (%record-rtd v) (%record-rtd q))))

;; (items . tail pattern)
(define (%quasi-items cx q)
  (define (named? x name) (and (pair? x) (%id-named? (car x) name) (pair? (cdr x)) (null? (cddr x))))
  (let loop ((q q) (items '()))
    (cond ((null? q) (cons (reverse items) '()))
          ((or (not (pair? q)) (named? q 'unquote)) (cons (reverse items) (%quasi-pattern cx q)))
          ((and (pair? (cdr q)) (%ellipsis-min (cadr q)))
           => (lambda (minimum)
                (loop (cddr q) (cons (cons (%quasi-pattern cx (car q)) minimum) items))))
          ((named? (car q) 'unquote-splicing)
           (let ((p (cadar q)))
             (if (and (pair? p) (%id-named? (car p) 'list))
                 (let-values (((inner tail) (%pattern-items (cdr p))))
                   (loop (cdr q) (append (reverse inner) items)))
                 (if (and (null? (cdr q)) (not (identifier? p)))
                     (cons (reverse items) p)
                     (loop (cdr q) (cons (cons p 0) items))))))
          (else (loop (cdr q) (cons (cons (%quasi-pattern cx (car q)) #f) items))))))

(define (%items->patterns cx items)
  (append-map (lambda (item) (if (cdr item) (list (car item) '...) (list (car item)))) items))

;; ---- regular expressions ----
(define (%match-regexp rx v)
  (and (or (string? v) (bytes? v)) (regexp-match (if (string? rx) (regexp rx) rx) v)))
(define (%match-pregexp rx v)
  (and (or (string? v) (bytes? v)) (regexp-match (if (string? rx) (pregexp rx) rx) v)))

;; ---- clauses ----
;; Each clause is (patterns body ...): one pattern for each of the values in `vs`.
(define (%match-clauses cx clauses vs failure)
  (if (null? clauses)
      failure
      (let* ((fail (%match-fail cx))
             (code (%match-clause cx (car clauses) vs (car fail))))
        (if (eqv? ((cdr fail) 'uses) 0)
            code
            (%match-with-fail cx fail (%match-clauses cx (cdr clauses) vs failure) code)))))

(define (%match-clause cx clause vs fail)
  (if (not (and (list? clause) (pair? (cdr clause)) (list? (car clause)) (= (length (car clause)) (length vs))))
      (%bad-pattern cx "expected a clause [pattern body ...]" clause))
  (let* ((body (cdr clause))
         (guard (and (keyword? (car body)) (equal? (keyword->string (car body)) "when") (cadr body)))
         (body (if guard (cddr body) body))
         (escape (and (pair? (car body)) (%id-named? (caar body) '=>) (= (length (car body)) 2) (cadar body)))
         (body (if escape (cdr body) body)))
    (if (null? body) (%bad-pattern cx "a clause without a body" clause))
    (let loop ((ps (car clause)) (vs vs) (env '()))
      (if (pair? ps)
          (%match-pattern cx (car ps) (car vs) env fail
                          (lambda (env) (loop (cdr ps) (cdr vs) env)))
          (let* ((bindings (map (lambda (b) (list (car b) (cdr b))) env))
                 (result `(,@(%is cx 'let)
                           (,@bindings ,@(if escape `((,escape ,(%is cx 'lambda '() (fail)))) '()))
                           ,@body)))
            (if guard
                (%is cx 'if `(,@(%is cx 'let) ,bindings ,guard) result (fail))
                result))))))

(define (%match-expand who rename exprs clauses)
  (let* ((cx (%make-match-context who rename (%fresh-namer rename)))
         (vs (map (lambda (e) (%fresh cx "v")) exprs)))
    `(,(rename 'let) ,(map list vs exprs)
      ,(%match-clauses cx clauses vs
                       `(,(rename '%match-error) (,(rename 'quote) ,who) ,@vs)))))

(define (%match-error who . values)
  (raise (%make-condition %match-failure-type
          (string-append (symbol->string who) ": no matching clause for "
                         (string-join (map (lambda (v) (%shown v 200)) values) " "))
          #f)))

;; ---- the forms ----
(define (%single-clauses clauses)
  (map (lambda (clause)
         (if (not (and (list? clause) (pair? clause) (pair? (cdr clause))))
             (%macro-error 'match "expected a clause [pattern body ...]" clause))
         (cons (list (car clause)) (cdr clause)))
       clauses))

(define-syntax match
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (if (not (and (list? form) (pair? (cdr form)))) (%macro-error 'match "expected (match value [pattern body ...] ...)" form))
     (%match-expand 'match rename (list (cadr form)) (%single-clauses (cddr form))))))

(define-syntax match*
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (%match-expand 'match* rename (cadr form) (cddr form)))))

(define-syntax match/values
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (let* ((fresh (%fresh-namer rename))
            (ids (map (lambda (p) (fresh "value")) (car (caddr form)))))
       `(,(rename 'let-values) ((,ids ,(cadr form)))
         ,(%match-expand 'match/values rename ids (cddr form)))))))

(define-syntax match-lambda
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (let ((x (rename 'x)))
       `(,(rename 'lambda) (,x) ,(%match-expand 'match-lambda rename (list x) (%single-clauses (cdr form))))))))

(define-syntax match-lambda*
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (let ((x (rename 'x)))
       `(,(rename 'lambda) ,x ,(%match-expand 'match-lambda* rename (list x) (%single-clauses (cdr form))))))))

(define-syntax match-lambda**
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (let* ((fresh (%fresh-namer rename))
            (ids (map (lambda (p) (fresh "x")) (car (cadr form)))))
       `(,(rename 'lambda) ,ids ,(%match-expand 'match-lambda** rename ids (cdr form)))))))

(define-syntax match-let
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (if (identifier? (cadr form))
         ;; the named one of (chibi match)
         (let* ((fresh (%fresh-namer rename)) (bindings (caddr form))
                (ids (map (lambda (b) (fresh "x")) bindings)))
           `((,(rename 'letrec)
              ((,(cadr form) (,(rename 'lambda) ,ids
                              ,(%match-expand 'match-let rename ids (list (cons (map car bindings) (cdddr form)))))))
              ,(cadr form))
             ,@(map cadr bindings)))
         (%match-expand 'match-let rename (map cadr (cadr form))
                        (list (cons (map car (cadr form)) (cddr form))))))))

(define-syntax match-let*
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (if (or (null? (cadr form)) (null? (cdadr form)))
         `(,(rename 'match-let) ,@(cdr form))
         `(,(rename 'match-let) (,(caadr form))
           (,(rename 'match-let*) ,(cdadr form) ,@(cddr form)))))))

(define-syntax match-letrec
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     `(,(rename 'let) ()
       ,@(map (lambda (b) `(,(rename 'match-define) ,(car b) ,(cadr b))) (cadr form))
       (,(rename 'let) () ,@(cddr form))))))

(define (%match-definition who rename pattern expr)
  (let* ((cx (%make-match-context who rename (%fresh-namer rename)))
         (ids (%pattern-variables cx pattern)))
    (if (= (length ids) 1)
        `(,(rename 'define) ,(car ids)
          ,(%match-expand who rename (list expr) `(((,pattern) ,(car ids)))))
        `(,(rename 'define-values) ,ids
          ,(%match-expand who rename (list expr)
                          `(((,pattern) (,(rename 'values) ,@ids))))))))

(define-syntax match-define
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (if (not (and (list? form) (= (length form) 3))) (%macro-error 'match-define "expected (match-define pattern expr)" form))
     (%match-definition 'match-define rename (cadr form) (caddr form)))))

(define-syntax match-define-values
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (let* ((patterns (cadr form)) (fresh (%fresh-namer rename))
            (ids (map (lambda (p) (fresh "value")) patterns)))
       `(,(rename 'match-define) (,(rename 'list) ,@patterns)
         (,(rename 'call-with-values) (,(rename 'lambda) () ,(caddr form)) ,(rename 'list)))))))

(define-syntax match-let-values
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     `(,(rename 'match-let)
       ,(map (lambda (b)
               `((,(rename 'list) ,@(car b))
                 (,(rename 'call-with-values) (,(rename 'lambda) () ,(cadr b)) ,(rename 'list))))
             (cadr form))
       ,@(cddr form)))))

;; (define/match (f a b) [(pattern pattern) body ...] ...)
(define-syntax define/match
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (let* ((header (cadr form))
            (parameters (filter (lambda (p) (not (keyword? p)))
                                (let loop ((p (cdr header))) (if (pair? p) (cons (car p) (loop (cdr p))) '()))))
            (ids (map (lambda (p) (if (pair? p) (car p) p)) parameters)))
       `(,(rename 'define) ,header
         ,(%match-expand (%id-symbol (car header)) rename ids (cddr form)))))))

;; What they give rests on the names of structs and of expanders alone, and these say when they change.
(%repeatable! 'match 'match* 'match/values 'match-lambda 'match-lambda* 'match-lambda** 'match-let 'match-let* 'match-letrec
              'match-define 'match-define-values 'match-let-values 'define/match)
