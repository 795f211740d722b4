;; struct and define-struct: Racket's records.
;;
;;   (struct point (x y) #:transparent)
;;
;; defines point (the constructor), point?, point-x, point-y and struct:point (the type, by which
;; match, struct-copy and a substruct find it).

(define-syntax struct
  (er-macro-transformer
   (lambda (form rename compare) (%struct-expand 'struct form rename compare))))

(define-syntax define-struct
  (er-macro-transformer
   (lambda (form rename compare) (%struct-expand 'define-struct form rename compare))))

;; ---- the form's parts ----
;; (struct name [parent] (field ...) option ...), (define-struct (name parent) (field ...) option ...)
(define (%struct-expand who form rename compare)
  (set! %macro-form form)
  (define (bad message . part) (apply %macro-error who message (if (pair? part) part (list form))))
  (if (not (and (list? form) (>= (length form) 3)))
      (bad "expected a name and a list of fields"))
  (let* ((head (cadr form))
         (name (if (pair? head) (car head) head))
         (parent-after? (and (identifier? (caddr form)) (pair? (cdddr form))))
         (parent (cond ((pair? head) (cadr head)) (parent-after? (caddr form)) (else #f)))
         (fields (if parent-after? (cadddr form) (caddr form)))
         (options (if parent-after? (cddddr form) (cdddr form))))
    (if (not (identifier? name)) (bad "the name must be an identifier" name))
    (if (not (list? fields)) (bad "expected a list of fields" fields))
    (let ((settings (%struct-options who options rename)))
      (%register-struct! (%id-symbol name) 'struct)
      (%struct-definitions who name (or parent (%setting settings 'super-name #f))
                           (map (lambda (f) (%struct-field who f)) fields)
                           settings rename compare))))

;; a field as (id mutable? auto?)
(define (%struct-field who field)
  (cond ((identifier? field) (list field #f #f))
        ((and (list? field) (pair? field) (identifier? (car field)) (every keyword? (cdr field)))
         (list (car field) (and (memq '#:mutable (cdr field)) #t) (and (memq '#:auto (cdr field)) #t)))
        (else (%macro-error who "expected a field: id or [id #:mutable]" field))))

;; the options as an alist of settings
(define (%struct-options who options rename)
  (let loop ((options options) (found '()))
    (define (flag name) (loop (cdr options) (cons (cons name #t) found)))
    (define (value name)
      (if (null? (cdr options)) (%macro-error who "a value is missing after an option" options))
      (loop (cddr options) (cons (cons name (cadr options)) found)))
    (cond ((null? options) found)
          ((not (keyword? (car options)))
           (%macro-error who "expected an option such as #:transparent" (car options)))
          (else
           (case (string->symbol (keyword->string (car options)))
             ((transparent) (flag 'transparent))
             ((prefab) (flag 'prefab))
             ((mutable) (flag 'mutable))
             ((authentic sealed omit-define-syntaxes omit-define-values) (flag 'ignored))
             ((inspector) (if (eq? (cadr options) #f) (loop (cddr options) (cons '(transparent . #t) found)) (value 'ignored)))
             ((guard) (value 'guard))
             ((auto-value) (value 'auto-value))
             ((constructor-name) (value 'constructor-name))
             ((extra-constructor-name) (value 'extra-constructor-name))
             ((name reflection-name extra-name) (value 'ignored))
             ((super) (value 'super))
             ((property)
              (if (or (null? (cdr options)) (null? (cddr options)))
                  (%macro-error who "expected #:property property value" options))
              (loop (cdddr options)
                    (cons (cons 'property `(,(rename 'cons) ,(cadr options) ,(caddr options))) found)))
             ((methods)
              (loop (cdddr options)
                    (cons (cons 'property (%methods-property (cadr options) (caddr options) rename)) found)))
             (else
              (let ((close (%suggest (string->symbol (keyword->string (car options))) %struct-option-names)))
                (%macro-error who
                              (if (pair? close)
                                  (string-append "unknown option; did you mean #:" (symbol->string (car close)) "?")
                                  "unknown option")
                              (car options)))))))))
(define %struct-option-names
  '(transparent prefab mutable authentic sealed inspector guard auto-value constructor-name extra-constructor-name
    name reflection-name super property methods))

(define (%setting settings name default)
  (let ((entry (assq name settings))) (if entry (cdr entry) default)))

;; #:methods gen:x [(define (m ...) ...) ...] is the property gen:x with the methods by name
(define (%methods-property generic definitions rename)
  (let ((names (map (lambda (d)
                      (let loop ((target (cadr d))) (if (pair? target) (loop (car target)) target)))
                    (filter (lambda (d) (and (pair? d) (memq (%id-symbol (car d)) '(define define/match)))) definitions))))
    `(,(rename 'cons) ,generic
      (,(rename 'let) ()
       ,@definitions
       (,(rename 'list) ,@(map (lambda (n) `(,(rename 'cons) (,(rename 'quote) ,(%id-symbol n)) ,n)) names))))))

;; ---- the definitions ----
(define (%struct-definitions who name parent fields settings rename compare)
  (define (define-form id expr) `(,(rename 'define) ,id ,expr))
  (define (quoted x) `(,(rename 'quote) ,x))
  (define type (%id-append name "struct:" name))
  (define constructor
    (or (%setting settings 'constructor-name #f)
        (if (eq? who 'define-struct) (%id-append name "make-" name) name)))
  (define extra (%setting settings 'extra-constructor-name #f))
  (define guard (%setting settings 'guard #f))
  (define auto-count (length (filter caddr fields)))
  `(,(rename 'begin)
    ,(define-form type
       `(,(rename '%make-struct-type)
         ,(quoted (%id-symbol name))
         ,(cond (parent (%id-append parent "struct:" parent))
                (else (%setting settings 'super #f)))
         ,(quoted (list->vector (map (lambda (f) (%id-symbol (car f))) fields)))
         ,(quoted (filter (lambda (key) (assq key settings)) '(transparent prefab mutable)))
         ,auto-count ,(%setting settings 'auto-value #f) ,guard
         (,(rename 'list) ,@(map cdr (filter (lambda (s) (eq? (car s) 'property)) (reverse settings))))))
    ,(define-form constructor `(,(rename '%struct-constructor) ,type ,(quoted (%id-symbol constructor))))
    ,@(if extra (list (define-form extra constructor)) '())
    ,(let ((predicate (%id-append name name "?")))
       (define-form predicate `(,(rename '%record-predicate) ,type ,(quoted (%id-symbol predicate)))))
    ,@(let loop ((fields fields) (i 0))
        (if (null? fields)
            '()
            (let ((accessor (%id-append name name "-" (caar fields)))
                  (modifier (%id-append name "set-" name "-" (caar fields) "!")))
              `(,(define-form accessor
                   `(,(rename '%struct-accessor) ,type ,i ,(quoted (%id-symbol accessor))))
                ,@(if (or (cadar fields) (assq 'mutable settings))
                      (list (define-form modifier
                              `(,(rename '%struct-modifier) ,type ,i ,(quoted (%id-symbol modifier)))))
                      '())
                ,@(loop (cdr fields) (+ i 1))))))))

;; ---- at run time ----
;; A struct's properties: an alist in the rtd. Guard and automatic fields are properties of ours.
(define (%make-struct-type name parent fields flags auto-count auto-value guard properties)
  (if (not (or (not parent) (%rtd? parent)))
      (raise-argument-error 'struct "struct-type?" parent))
  (let ((rtd (if (and (equal? flags '(prefab)) (= auto-count 0) (not guard) (null? properties)
                      (or (not parent) (equal? (%rtd-flags parent) '(prefab))))
                 (%prefab-type name parent fields)      ; the one of this name and shape
                 (%make-rtd name parent fields
                        (append (if (or (any (lambda (p) (memq (car p) %equality-properties)) properties)
                                        (and parent (memq 'equal (%rtd-flags parent))))
                                    '(equal)
                                    '())
                                (map (lambda (flag) (case flag ((transparent) 'transparent) ((prefab) 'prefab) (else 'mutable))) flags))))))
    (%set-rtd-properties! rtd
                          (append (if guard (list (cons '%guard guard)) '())
                                  (if (> auto-count 0) (list (cons '%auto (cons auto-count auto-value))) '())
                                  properties
                                  (if parent (filter %inherited-property? (%rtd-properties parent)) '())))
    (%install-struct-behaviour! rtd)
    (%note-data-type! rtd)
    rtd))

;; The types whose instances have a data form, by name: what reads one (restore, a message) finds them
;; here. Of several of one name the last that was defined counts.
(define %data-types (make-hasheq))
(define (%note-data-type! rtd)
  (if (or (memq 'transparent (%rtd-flags rtd)) (memq 'prefab (%rtd-flags rtd)))
      (hash-set! %data-types (%rtd-name rtd) rtd)))

(define %equality-properties '(prop:equal+hash gen:equal+hash gen:equal-mode+hash)) ; equality.scm
(define (%inherited-property? entry) (not (memq (car entry) '(%guard %auto))))

;; what properties mean to the core: application and printing
(define (%install-struct-behaviour! rtd)
  (let* ((properties (%rtd-properties rtd))
         (procedure (assq 'prop:procedure properties))
         (writer (%custom-writer properties)))
    (if procedure (%set-rtd-apply! rtd (%struct-application rtd (cdr procedure))))
    (if writer
        (%set-rtd-printer! rtd
                           (lambda (record)
                             (let ((mode (case (%print-mode) ((0) #f) ((2) 0) (else #t))))
                               (call-with-output-string (lambda (port) (writer record port mode)))))))))

;; prop:procedure: a procedure that gets the instance too, or the index of a field that holds one
(define (%struct-application rtd value)
  (if (exact-integer? value)
      (let ((index (+ value (%rtd-inherited-count rtd))))
        (lambda (record . args) (apply (%record-ref record index) args)))
      value))

(define (%custom-writer properties)
  (let ((property (assq 'prop:custom-write properties)) (generic (assq gen:custom-write properties)))
    (cond (property (cdr property))
          (generic (cdr (assq 'write-proc (cdr generic))))
          (else #f))))

(define (%struct-property record key)
  (let ((entry (assq key (%rtd-properties (%record-rtd record)))))
    (and entry (cdr entry))))

(define prop:procedure 'prop:procedure)
(define prop:custom-write 'prop:custom-write)
(define prop:sequence 'prop:sequence)
(define prop:equal+hash 'prop:equal+hash)
(define prop:evt 'prop:evt)
(define prop:serializable 'prop:serializable)
(define gen:custom-write 'gen:custom-write)
(define gen:stream 'gen:stream)
(define gen:equal+hash 'gen:equal+hash)
(define gen:equal-mode+hash 'gen:equal-mode+hash)

;; The plain constructor is the core's. Guards (from the root down) and automatic fields make it a
;; procedure of ours around that.
(define (%struct-constructor rtd name)
  (let ((chain (%rtd-chain rtd)))
    (if (every (lambda (rtd) (not (or (assq '%guard (%rtd-properties rtd)) (assq '%auto (%rtd-properties rtd))))) chain)
        (%record-constructor rtd #f name)
        (%guarded-constructor rtd name chain))))

(define (%rtd-chain rtd)
  (let loop ((rtd rtd) (chain '()))
    (if rtd (loop (%rtd-parent rtd) (cons rtd chain)) chain)))

(define (%guarded-constructor rtd name chain)
  (define (auto-of rtd) (let ((auto (assq '%auto (%rtd-properties rtd)))) (if auto (cdr auto) '(0 . #f))))
  (define (own-count rtd) (- (vector-length (%rtd-fields rtd)) (%rtd-inherited-count rtd) (car (auto-of rtd))))
  (define expected (apply + (map own-count chain)))
  ;; one type at a time: its guard sees the arguments of its ancestors and its own
  (define (guarded chain args)
    (let loop ((chain (reverse chain)) (args args))
      (if (null? chain)
          args
          (let* ((count (apply + (map own-count chain)))
                 (guard (assq '%guard (%rtd-properties (car chain))))
                 (own (take args count))
                 (checked (if guard
                              (call-with-values (lambda () (apply (cdr guard) (append own (list name)))) list)
                              own)))
            (loop (cdr chain) (append checked (drop args count)))))))
  (define (with-auto-fields args)
    (append-map (lambda (rtd)
                  (let ((own (take args (own-count rtd))) (auto (auto-of rtd)))
                    (set! args (drop args (own-count rtd)))
                    (append own (make-list (car auto) (cdr auto)))))
                chain))
  (%procedure-named
   name
   (lambda args
     (if (not (= (length args) expected))
         (raise (make-exn:fail:contract:arity
                 (string-append (symbol->string name) ": arity mismatch;\n the expected number of arguments does not match the given number\n  expected: "
                                (number->string expected) "\n  given: " (number->string (length args)))
                 #f)))
     (apply %record rtd (with-auto-fields (guarded chain args))))))

(define (%struct-accessor rtd index name)
  (%record-accessor rtd (+ index (%rtd-inherited-count rtd)) name))
(define (%struct-modifier rtd index name)
  (%record-modifier rtd (+ index (%rtd-inherited-count rtd)) name))
(define (%rtd-inherited-count rtd)
  (let ((parent (%rtd-parent rtd))) (if parent (vector-length (%rtd-fields parent)) 0)))
(define (%rtd-field-count rtd) (vector-length (%rtd-fields rtd)))

;; ---- struct-copy ----
;; (struct-copy point p [x 1] [y #:parent posn 2])
(define-syntax struct-copy
  (er-macro-transformer
   (lambda (form rename compare)
     (if (not (and (list? form) (>= (length form) 3) (every (lambda (f) (and (list? f) (memv (length f) '(2 4)))) (cdddr form))))
         (%macro-error 'struct-copy "expected (struct-copy name instance [field value] ...)" form))
     (let ((name (cadr form)))
       `(,(rename '%struct-copy) ,(%struct-copy-type name)
         (,(rename 'quote) ,(%id-symbol name)) ,(caddr form)
         (,(rename 'quote) ,(map (lambda (f) (%id-symbol (car f))) (cdddr form)))
         ,@(map (lambda (f) (if (= (length f) 4) (cadddr f) (cadr f))) (cdddr form)))))))

(define (%struct-copy-type name)
  (if (%hash-ref %struct-names (%id-symbol name) #f) (%id-append name "struct:" name) name))

(define (%struct-copy rtd name record fields . values)
  (if (not (%record-is-a? record rtd))
      (raise-argument-error (string->symbol (string-append (symbol->string name) "-copy"))
                            (string-append (symbol->string name) "?") record))
  (let ((copy (%record-copy record)))
    (let loop ((fields fields) (values values))
      (if (null? fields)
          copy
          (begin (%record-set! copy (or (%field-index rtd (car fields)) (%no-such-field rtd name (car fields))) (car values))
                 (loop (cdr fields) (cdr values)))))))
(define (%no-such-field rtd name field)
  (raise (%with-hint
          (make-exn:fail:contract
           (string-append "struct-copy: " (symbol->string name) " has no field named " (symbol->string field)) #f)
          (string-append "Its fields are: " (string-join (map symbol->string (vector->list (%rtd-fields rtd))) " ")))))

(define (%field-index rtd field)
  (let ((fields (%rtd-fields rtd)))
    (let loop ((i (- (vector-length fields) 1)))
      (cond ((< i 0) #f) ((eq? (vector-ref fields i) field) i) (else (loop (- i 1)))))))

;; ---- reflection ----
(define (struct? v) (and (%record? v) (memq 'transparent (%rtd-flags (%record-rtd v))) #t))
;; The fields of types that are not transparent show as one `opaque`, as many as follow one another.
(define (struct->vector v [opaque '...])
  (if (not (%record? v))
      (vector (string->symbol (string-append "struct:" (%->string v 0 0))) opaque)
      (list->vector
       (cons (string->symbol (string-append "struct:" (symbol->string (%rtd-name (%record-rtd v)))))
             (let levels ((rtd (%record-rtd v)) (hidden? #f) (items '()))
               (if (not rtd)
                   items
                   (let* ((parent (%rtd-parent rtd)) (first (if parent (%rtd-field-count parent) 0)) (end (%rtd-field-count rtd)))
                     (if (or (memq 'transparent (%rtd-flags rtd)) (memq 'prefab (%rtd-flags rtd)))
                         (levels parent #f
                                 (let loop ((i (- end 1)) (items items))
                                   (if (< i first) items (loop (- i 1) (cons (%record-ref v i) items)))))
                         (levels parent #t (if hidden? items (cons opaque items)))))))))))
(define (struct->list v #:on-opaque [on-opaque 'error])
  (if (and (%record? v) (not (memq '... (cdr (vector->list (struct->vector v))))))
      (%record-items v)
      (case on-opaque
        ((return-false) #f)
        ((skip) (if (%record? v) (filter (lambda (x) (not (eq? x '...))) (cdr (vector->list (struct->vector v)))) '()))
        (else (raise-argument-error 'struct->list "a struct whose fields are transparent" v)))))
(define (%record-items v)
  (let loop ((i (- (%rtd-field-count (%record-rtd v)) 1)) (items '()))
    (if (< i 0) items (loop (- i 1) (cons (%record-ref v i) items)))))
(define (make-struct-type name super init-count auto-count [auto-value #f] [properties '()] [inspector 'opaque]
                          [procedure #f] [immutables '()] [guard #f] [constructor-name #f])
  (if (not (symbol? name)) (raise-argument-error 'make-struct-type "symbol?" name))
  (let* ((count (+ init-count auto-count))
         (rtd (%make-struct-type name super (build-vector count (lambda (i) (string->symbol (string-append "field" (number->string i)))))
                                 (if inspector '(mutable) '(mutable transparent)) auto-count auto-value guard
                                 (append (if procedure (list (cons 'prop:procedure procedure)) '()) properties)))
         (first (- (%rtd-field-count rtd) count))
         (instance? (%record-predicate rtd name)))
    (define (check who v i)
      (if (not (instance? v)) (raise-argument-error who (string-append (symbol->string name) "?") v))
      (if (not (and (natural? i) (< i count))) (raise-argument-error who "index of a field" i)))
    (values rtd
            (%struct-constructor rtd (or constructor-name name))
            instance?
            (lambda (v i) (check 'accessor v i) (%record-ref v (+ first i)))
            (lambda (v i x) (check 'mutator v i) (%record-set! v (+ first i) x)))))
(define (make-struct-field-accessor ref i [name 'field]) (%procedure-named name (lambda (v) (ref v i))))
(define (make-struct-field-mutator set i [name 'field]) (%procedure-named name (lambda (v x) (set v i x))))
(define (make-struct-type-property name . rest)
  (let ((key (string->uninterned-symbol (symbol->string name))))
    (values key
            (lambda (v) (and (%record? v) (assq key (%rtd-properties (%record-rtd v))) #t))
            (lambda (v) (%struct-property v key)))))

;; ---- generics ----
;; (define-generics shape (area shape) (name shape) #:fallbacks [...] #:defaults ([number? ...])): gen:shape, shape?,
;; and each method, which looks at the argument named like the interface. What has no methods of its own has those of
;; the first default whose predicate takes it.
(define-syntax define-generics
  (er-macro-transformer
   (lambda (form rename compare)
     (let* ((name (cadr form))
            (key (%id-append name "gen:" name))
            (fallbacks (%generic-option 'fallbacks (cddr form)))
            (defaults (append (%generic-option 'fast-defaults (cddr form)) (%generic-option 'defaults (cddr form))))
            (methods (filter (lambda (m) (and (pair? m) (identifier? (car m)) (list? m) (any (lambda (a) (%id-named? a (%id-symbol name))) (cdr m))))
                             (cddr form))))
       `(,(rename 'begin)
         (,(rename 'define) ,key (,(rename 'quote) ,(%id-symbol key)))
         (,(rename 'define) ,(%id-append name "fallbacks:" name)
          ,(caddr (%methods-property key fallbacks rename)))
         (,(rename 'define) ,(%id-append name "defaults:" name)
          (,(rename 'list)
           ,@(map (lambda (d)
                    `(,(rename 'cons) (,(rename 'lambda) (v) (,(car d) v)) ,(caddr (%methods-property key (cdr d) rename))))
                  defaults)))
         (,(rename 'define) (,(%id-append name name "?") v)
          (,(rename '%generic?) v ,key ,(%id-append name "defaults:" name)))
         ,@(map (lambda (m)
                  (let ((position (let loop ((args (cdr m)) (i 0))
                                    (if (%id-named? (car args) (%id-symbol name)) i (loop (cdr args) (+ i 1))))))
                    `(,(rename 'define) ,(car m)
                      (,(rename '%generic-method) (,(rename 'quote) ,(%id-symbol (car m))) ,key ,position
                       ,(%id-append name "fallbacks:" name) ,(%id-append name "defaults:" name)
                       (,(rename 'quote) ,(%id-symbol name))))))
                methods))))))

(define (%generic-option option parts)
  (cond ((null? parts) '())
        ((and (keyword? (car parts)) (eq? (string->symbol (keyword->string (car parts))) option)) (cadr parts))
        (else (%generic-option option (cdr parts)))))

(define (%implements? v key)
  (and (%record? v) (assq key (%rtd-properties (%record-rtd v))) #t))

(define (%generic-default v defaults) (find (lambda (d) ((car d) v)) defaults))
(define (%generic? v key defaults) (or (%implements? v key) (and (%generic-default v defaults) #t)))

(define (%generic-method name key position fallbacks defaults interface)
  (%procedure-named
   name
   (lambda args
     (let* ((self (if (< position (length args)) (list-ref args position)
                      (raise-arguments-error name "too few arguments")))
            (default (and (not (%implements? self key)) (%generic-default self defaults)))
            (methods (cond (default (cdr default))
                           ((%record? self) (or (%struct-property self key) '()))
                           (else '())))
            (method (or (assq name methods)
                        (and (or default (%implements? self key)) (assq name fallbacks)))))
       (if method
           (apply (cdr method) args)
           (if (or default (%implements? self key))
               (raise-arguments-error name "not implemented" "value" self)
               (raise-argument-error name (string-append (symbol->string interface) "?") self)))))))
