;; libraries/chibi.scm — the libraries that Chibi-Scheme implements in C, wholly or by
;; include-shared. All other (chibi ...) and (srfi ...) libraries of Chibi are Scheme and come
;; from a library folder.

;; A table in which (%unseen . name) stands for a name that looks into the compiler or the module system: a procedure
;; that says that nobody can here.
(define (%with-unseen table)
  (map (lambda (entry)
         (if (and (pair? entry) (eq? (car entry) '%unseen))
             (cons (%define-denied! (cdr entry) "view of its compiler" "use macros, eval and procedure-arity") (cdr entry))
             entry))
       table))

(%define-core-library! '(chibi)
  (%with-unseen '(* + - / ... < <= = => > >= _ abs acos and angle any (%chibi:append . append) apply asin assoc assq assv atan
    begin boolean? bytevector-length bytevector-u8-ref bytevector-u8-set! bytevector? caar cadr
    call-with-current-continuation call-with-input-file call-with-input-string
    call-with-output-file call-with-output-string call-with-values call/cc car case cdar cddr cdr
    ceiling char->integer char-alphabetic? char-ci<=? char-ci<? char-ci=? char-ci>=? char-ci>?
    char-downcase char-foldcase char-lower-case? char-numeric? char-ready? char-upcase
    char-upper-case? char-whitespace? char<=? char<? char=? char>=? char>? char? close-input-port
    close-output-port close-syntax command-line complex? cond cond-expand cons cos
    current-error-port current-input-port current-output-port define define-syntax delay
    delay-force delete-file denominator display do dynamic-wind else emergency-exit eof-object?
    eq? equal? eqv? er-macro-transformer error eval even? every exact exact->inexact
    exact-integer? exact? exit exp expt file-exists? (%lenient-find . find) (%lenient-find-tail . find-tail) finite? floor (%for-each-shortest . for-each) force
    gcd get-environment-variable get-output-bytevector get-output-string identifier->symbol
    identifier=? identifier? if imag-part immutable? inexact inexact->exact inexact? infinite?
    input-port? integer->char integer? interaction-environment lambda lcm length let let*
    let-optionals* let-syntax letrec letrec* letrec-syntax list list->string list->vector
    list-copy list-ref list-tail list? load log magnitude make-bytevector make-list make-polar
    make-rectangular make-string make-syntactic-closure make-vector (%map-shortest . map) max member memq memv min
    modulo nan? negative? newline not null-environment null? number->string number? numerator
    odd? open-binary-input-file open-binary-output-file open-input-bytevector open-input-file
    open-input-string open-output-bytevector open-output-file open-output-string or output-port?
    pair? peek-char peek-u8 port-line port? positive? procedure? promise? quasiquote quote
    quotient raise raise-continuable rational? read read-char read-u8 real-part real? remainder
    reverse reverse! round rsc-macro-transformer sc-macro-transformer scheme-report-environment
    set! set-car! set-cdr! sin sqrt string string->list string->number string->symbol
    string->utf8 string-append string-ci<=? string-ci<? string-ci=? string-ci>=? string-ci>?
    string-copy string-cursor->index string-cursor-end string-cursor-next
    (values . string-cursor-offset)
    string-cursor-prev string-cursor-ref string-cursor-start string-cursor<=? string-cursor<?
    string-cursor=? string-cursor>=? string-cursor>? string-cursor? string-fill!
    string-index->cursor string-length string-ref string-set! (string-length . string-size) string<=? string<?
    string=? string>=? string>? string? strip-syntactic-closures substring substring-cursor
    symbol->string symbol? syntactic-closure-expr syntactic-closure? syntax-error syntax-rules
    tan textual-port? binary-port? truncate unquote unquote-splicing utf8->string values vector
    vector->list vector-copy vector-copy! vector-fill! vector-length vector-ref vector-set!
    vector? with-exception-handler with-input-from-file with-output-to-file (%standard-write . write) write-char
    write-u8 zero? symbol<? exact-integer-sqrt bytevector-copy! call-with-escape-continuation
    let-values define-values define-record-type (%chibi:exception? . exception?)
    (%chibi:exception-kind . exception-kind) (%chibi:exception-source . exception-source)
    (%chibi:make-exception . make-exception) (%chibi:print-exception . print-exception)
    (%chibi:print-stack-trace . print-stack-trace)
    (%chibi:current-exception-handler . current-exception-handler) (%chibi:protect . protect)
    (%chibi:with-exception-protect . with-exception-protect)
    (%chibi:exception-protect . exception-protect)
    (%chibi:register-simple-type . register-simple-type)
    (%chibi:make-type-predicate . make-type-predicate)
    (%chibi:make-constructor . make-constructor) (%chibi:make-getter . make-getter)
    (%chibi:make-setter . make-setter) (%chibi:slot-ref . slot-ref)
    (%chibi:slot-set! . slot-set!) (%chibi:is-a? . is-a?)
    (%chibi:type-slot-offset . type-slot-offset) (%chibi:fixnum? . fixnum?)
    (%chibi:bignum? . bignum?) (%chibi:flonum? . flonum?) (%chibi:ratio? . ratio?)
    (%chibi:exact-sqrt . exact-sqrt) (%chibi:char-cmp . char-cmp)
    (%chibi:char-cmp-ci . char-cmp-ci) (%chibi:string-concatenate . string-concatenate)
    (%chibi:length* . length*) (%chibi:append2 . append2) (%chibi:string-copy! . string-copy!)
    (%chibi:pair-source . pair-source) (%chibi:pair-source-set! . pair-source-set!)
    (%chibi:set-port-line! . set-port-line!) (%chibi:port-fileno . port-fileno)
    (%chibi:stream-port? . stream-port?) (%chibi:port-open? . port-open?)
    (%chibi:promise . promise) (%syntax-quote . syntax-quote)
    (%chibi:define-auxiliary-syntax . define-auxiliary-syntax)
    (%chibi:make-renamer . make-renamer) (%chibi:env-exports . env-exports)
    (%chibi:compile . compile) (%chibi:find-module-file . find-module-file)
    (%chibi:current-module-path . current-module-path)
    (%chibi:thread-parameters . thread-parameters)
    (%chibi:thread-parameters-set! . thread-parameters-set!) (%chibi:yield! . yield!)
    (%chibi:register-optimization! . register-optimization!) (%chibi:gc . gc)
    (%chibi:type? . type?) (%chibi:type-name . type-name) (%chibi:type-slots . type-slots)
    (%chibi:warn . warn) (error-object-message . exception-message)
    (error-object-irritants . exception-irritants) (%chibi:write-string . %write-string)
    (%call/cc . %call/cc) (%current-environment . current-environment)
    (%make-environment . make-environment) (flush-output-port . flush-output)
    subbytes (%unseen . env-parent)
    (%chibi:datum->syntax . datum->syntax) (%chibi:symbol->identifier . symbol->identifier)
    (%make-uvector . make-uvector) (%list->uvector . list->uvector) (%chibi:opcode? . opcode?) (%chibi:make-immutable! . make-immutable!))))

;; Chibi's own module system; only the part that needs no view of its modules.
(%define-core-library! '(meta)
  (%with-unseen '(environment (environment . mutable-environment)
    (%unseen . module-env) (%unseen . module-meta-data) (%unseen . module-exports)
    (%unseen . make-module) (%unseen . load-module) (%unseen . find-module)
    (%unseen . resolve-import) (%unseen . resolve-module-imports)
    (%unseen . module-name-prefix) (%unseen . module-name->file)
    (%unseen . add-module!) (%unseen . delete-module!) (%chibi:no-modules . *modules*)
    (%chibi:no-modules . raw-script-file))))

(%define-core-library! '(chibi ast)
  (%with-unseen '((%chibi:type-of . type-of) (%chibi:Object . Object) (%chibi:Input-Port . Input-Port)
    (%chibi:Output-Port . Output-Port) (%chibi:Opcode . Opcode) (%chibi:Procedure . Procedure)
    (%chibi:Bytecode . Bytecode) (%chibi:Macro . Macro) (%chibi:Env . Env)
    (%chibi:Number . Number) (%chibi:Bignum . Bignum) (%chibi:Flonum . Flonum)
    (%chibi:Integer . Integer) (%chibi:Complex . Complex) (%chibi:Char . Char)
    (%chibi:Boolean . Boolean) (%chibi:Symbol . Symbol) (%chibi:String . String)
    (%chibi:Byte-Vector . Byte-Vector) (%chibi:Vector . Vector) (%chibi:Pair . Pair)
    (%chibi:File-Descriptor . File-Descriptor) (%chibi:Context . Context)
    (%chibi:Exception . Exception) (%chibi:Core . Core) (%chibi:Sc . Sc)
    (%chibi:lambda? . lambda?) (%chibi:cnd? . cnd?) (%chibi:set? . set?) (%chibi:ref? . ref?)
    (%chibi:seq? . seq?) (%chibi:lit? . lit?) (%chibi:type? . type?) (%chibi:core? . core?)
    (%chibi:environment? . environment?) (%chibi:bytecode? . bytecode?) (%chibi:macro? . macro?)
    (%chibi:context? . context?) (%chibi:file-descriptor? . file-descriptor?)
    (%chibi:opcode? . opcode?)
    (%chibi:procedure-variable-transformer? . procedure-variable-transformer?)
    (%chibi:exception? . exception?) (%chibi:exception-kind . exception-kind)
    (%chibi:exception-source . exception-source) (%chibi:procedure-name . procedure-name)
    (%chibi:procedure-arity . procedure-arity) (%chibi:procedure-variadic? . procedure-variadic?)
    (%chibi:type-name . type-name) (%chibi:type-cpl . type-cpl)
    (%chibi:type-parent . type-parent) (%chibi:type-slots . type-slots)
    (%chibi:type-num-slots . type-num-slots) (%chibi:type-printer . type-printer)
    (%chibi:type-printer-set! . type-printer-set!) (%chibi:object-size . object-size)
    (%chibi:object->integer . object->integer) (%chibi:gc . gc)
    (%chibi:integer->error-string . integer->error-string)
    (%chibi:string-contains . string-contains) (%chibi:string-cursor-copy! . string-cursor-copy!)
    (%chibi:flatten-dot . flatten-dot) (%chibi:make-immutable! . make-immutable!)
    (%chibi:atomically . atomically) (%chibi:identifier-syntax . identifier-syntax)
    (%chibi:env-exports . env-exports) syntactic-closure? syntactic-closure-expr
    (syntactic-closure-env . syntactic-closure-env) (%unseen . syntactic-closure-vars)
    procedure? port-line immutable? (error-object-message . exception-message)
    (error-object-irritants . exception-irritants) (%unseen . analyze)
    (%unseen . optimize) (%unseen . env-cell) (%unseen . ast->sexp)
    (%unseen . macroexpand) (%unseen . copy-lambda) (%unseen . make-lambda)
    (%unseen . make-cnd) (%unseen . make-ref) (%unseen . make-set)
    (%unseen . make-seq) (%unseen . make-lit) (%unseen . make-macro)
    (%unseen . lambda-name) (%unseen . lambda-params) (%unseen . lambda-body)
    (%unseen . lambda-defs) (%unseen . lambda-locals) (%unseen . lambda-flags)
    (%unseen . lambda-free-vars) (%unseen . lambda-set-vars)
    (%unseen . lambda-return-type) (%unseen . lambda-param-types)
    (%unseen . lambda-source) (%unseen . lambda-name-set!)
    (%unseen . lambda-params-set!) (%unseen . lambda-body-set!)
    (%unseen . lambda-defs-set!) (%unseen . lambda-locals-set!)
    (%unseen . lambda-flags-set!) (%unseen . lambda-free-vars-set!)
    (%unseen . lambda-set-vars-set!) (%unseen . lambda-return-type-set!)
    (%unseen . lambda-param-types-set!) (%unseen . lambda-source-set!)
    (%unseen . cnd-test) (%unseen . cnd-pass) (%unseen . cnd-fail)
    (%unseen . cnd-test-set!) (%unseen . cnd-pass-set!)
    (%unseen . cnd-fail-set!) (%unseen . set-var) (%unseen . set-value)
    (%unseen . set-var-set!) (%unseen . set-value-set!) (%unseen . set-source)
    (%unseen . set-source-set!) (%unseen . ref-name) (%unseen . ref-cell)
    (%unseen . ref-name-set!) (%unseen . ref-cell-set!) (%unseen . seq-ls)
    (%unseen . seq-ls-set!) (%unseen . lit-value) (%unseen . lit-value-set!)
    (%unseen . opcode-name) (%unseen . opcode-num-params)
    (%unseen . opcode-return-type) (%unseen . opcode-param-type)
    (%unseen . opcode-class) (%unseen . opcode-code) (%unseen . opcode-data)
    (%unseen . opcode-variadic?) (%unseen . macro-procedure)
    (%unseen . macro-env) (%unseen . macro-source) (%unseen . macro-aux)
    (%unseen . macro-aux-set!) (%unseen . procedure-code)
    (%unseen . procedure-vars) (%unseen . procedure-name-set!)
    (%unseen . procedure-flags) (%chibi:make-variable-transformer . make-variable-transformer)
    (%unseen . make-procedure) (%unseen . bytecode-name)
    (%unseen . bytecode-literals) (%unseen . bytecode-source)
    (%unseen . port-line-set!) (%unseen . port-source?)
    (%unseen . port-source?-set!) (%unseen . extend-env)
    (%unseen . env-parent-set!) (%unseen . env-lambda)
    (%unseen . env-lambda-set!) (%unseen . env-define!) (%unseen . env-push!)
    (%unseen . env-syntactic?) (%unseen . env-syntactic?-set!)
    (%unseen . core-code) (%unseen . integer->immediate) (%unseen . gc-usecs)
    (%unseen . gc-count) (%unseen . thread-list) (%unseen . abort)
    (%unseen . errno) (%unseen . update-free-vars!) (%unseen . setenv)
    (%unseen . unsetenv) (%unseen . safe-setenv) (%unseen . immutable-string)
    (%unseen . thread-interrupt!) (%unseen . chibi-version)
    (%unseen . env-parent) (%unseen . Lam) (%unseen . Cnd)
    (%unseen . Set) (%unseen . Set-Syn) (%unseen . Ref) (%unseen . Seq)
    (%unseen . Lit))))

(%define-core-library! '(chibi io)
  '(read-string (%chibi:read-line . read-line) write-string write-u8 read-u8 peek-u8 open-input-bytevector
    open-output-bytevector get-output-bytevector string->utf8 utf8->string call-with-input-file
    call-with-output-file (%chibi:read-string! . read-string!) (%chibi:write-line . write-line)
    (%chibi:port-fold . port-fold) (%chibi:port-fold-right . port-fold-right)
    (%chibi:port-map . port-map) (%chibi:port->list . port->list)
    (%chibi:port->string-list . port->string-list) (%chibi:port->sexp-list . port->sexp-list)
    (%chibi:port->string . port->string) (%chibi:port->bytevector . port->bytevector)
    (%chibi:file->string . file->string) (%chibi:file->bytevector . file->bytevector)
    (%chibi:file-position . file-position) (%chibi:set-file-position! . set-file-position!)
    (%chibi:make-custom-input-port . make-custom-input-port)
    (%chibi:make-custom-output-port . make-custom-output-port)
    (%chibi:make-custom-binary-input-port . make-custom-binary-input-port)
    (%chibi:make-custom-binary-output-port . make-custom-binary-output-port)
    (%chibi:make-null-output-port . make-null-output-port)
    (%chibi:make-null-input-port . make-null-input-port)
    (%chibi:make-broadcast-port . make-broadcast-port)
    (%chibi:make-concatenated-port . make-concatenated-port)
    (%chibi:make-generated-input-port . make-generated-input-port)
    (%chibi:make-generated-binary-input-port . make-generated-binary-input-port)
    (%chibi:make-filtered-output-port . make-filtered-output-port)
    (%chibi:make-filtered-input-port . make-filtered-input-port)
    (%chibi:string-count-chars . string-count-chars) (%chibi:string->utf8! . string->utf8!)
    (%chibi:string-offset . string-offset) (%chibi:utf8->string! . utf8->string!)
    (%chibi:utf8-ref . utf8-ref) (%chibi:utf8-next . utf8-next) (%chibi:utf8-prev . utf8-prev)
    (%chibi:send-file . send-file) (%chibi:is-a-socket? . is-a-socket?)
    (%chibi:file-position . seek/set) (%chibi:file-position . seek/cur)
    (%chibi:file-position . seek/end) (%chibi:read-line . %%read-line)))

(%define-core-library! '(chibi weak)
  '(make-ephemeron ephemeron? (%ephemeron-broken? . ephemeron-broken?)
    (%ephemeron-key . ephemeron-key) (%ephemeron-value . ephemeron-value)))

(%define-core-library! '(srfi 124)
  '(make-ephemeron ephemeron? (%ephemeron-broken? . ephemeron-broken?)
    (%ephemeron-key . ephemeron-key) (%ephemeron-value . ephemeron-datum) (values . reference-barrier)))

;; Chibi's own has the names of its compiler inside; this is the dialect's.
(%define-core-library! '(chibi syntax-case)
  '(... _ free-identifier=? bound-identifier=? identifier? syntax-case syntax quasisyntax unsyntax unsyntax-splicing
    (%datum->syntax . datum->syntax) (%syntax->datum . syntax->datum) generate-temporaries with-syntax
    (%syntax-violation . syntax-violation) with-ellipsis (%ellipsis? . ellipsis-identifier?) define-syntax let-syntax
    letrec-syntax))

;; SRFI 211 is a library for each kind of transformer.
(%define-core-library! '(srfi 211 identifier-syntax) '((%chibi:identifier-syntax . identifier-syntax)))
(%define-core-library! '(srfi 211 variable-transformer) '((%chibi:make-variable-transformer . make-variable-transformer)))
(%define-core-library! '(srfi 211 explicit-renaming) '(er-macro-transformer identifier?))
(%define-core-library! '(srfi 211 with-ellipsis) '(with-ellipsis))
