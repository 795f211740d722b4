;; What Racket's programs bring along that means little or nothing here: modules, contracts,
;; namespaces; and what there is not, with what to write instead.

;; ---- what of a program is run, and what of it shows ----
;; A program may be written as a module of Racket's: with a #lang line, as one (module name racket form ...), with
;; submodules. Then it runs as `racket program.rkt` does: module+ main comes last, no other submodule runs.
(define (%module-body forms)
  (let loop ((rest forms))
    (cond ((null? rest) forms)
          ((and (pair? (car rest)) (memq (caar rest) '(module module+ module*))) (%flat-module forms))
          (else (loop (cdr rest))))))
(define (%flat-module forms)
  (define (whole? forms)
    (and (pair? forms) (null? (cdr forms)) (%module-form? (car forms))))
  (let loop ((rest (if (whole? forms) (cdddar forms) forms)) (body '()) (main '()))
    (cond ((null? rest) (append-reverse! body (reverse! main)))
          ((%submodule-name (car rest))
           => (lambda (name)
                (loop (cdr rest) body
                      (if (eq? name 'main)
                          (append-reverse (if (eq? (caar rest) 'module*) (cdddar rest) (cddar rest)) main)
                          main))))
          ((%module-form? (car rest)) (loop (append (cdddar rest) (cdr rest)) body main)) ; its names are the program's
          (else (loop (cdr rest) (cons (car rest) body) main)))))
(define (%module-form? form)
  (and (list? form) (>= (length form) 3) (eq? (car form) 'module) (symbol? (cadr form)) (symbol? (caddr form))))
(define (%submodule-name form)
  (and (list? form) (pair? (cdr form)) (symbol? (cadr form))
       (or (eq? (car form) 'module+) (and (eq? (car form) 'module*) (pair? (cddr form))))
       (cadr form)))

;; Does the text begin with #lang racket or one of its kin, comments aside, or is it such a module?
(define %racket-line
  (%make-regexp "^(?:\\s|;[^\n]*\n|#\\|(?:[^|]|\\|[^#])*\\|#)*(?:#lang\\s+(?:at-exp\\s+)?|\\(module\\s+[^\\s()]+\\s+)(?:racket|typed/racket|scheme|plai|r5rs)\\b" #t))
;; Most programs begin with a parenthesis and no module behind it: that is all that is looked at.
(define (%prints-values? text)
  (and (not (and (> (string-length text) 1)
                 (eq? (string-ref text 0) #\()
                 (not (eq? (string-ref text 1) #\m))))
       (or (%string-index-of text "#lang") (%string-index-of text "(module")) (%regexp-match? %racket-line text)))
(define current-print (make-parameter (lambda (v) (if (not (void? v)) (println v))) #f 'current-print))
(define (%print-value v) (for-each (current-print) (%values->list v)))

;; All names are everywhere; what (rename-out [name other]) gives is the same under another one.
(define-syntax provide
  (er-macro-transformer
   (lambda (form rename compare)
     (let ((renames (if (list? form) (append-map %provided-renames (cdr form)) '())))
       (if (null? renames)
           `(,(rename 'void))
           `(,(rename 'begin)
             ,@(map (lambda (r)
                      `(,(rename 'define-syntax) ,(cadr r) (,(rename 'make-rename-transformer) (,(rename 'syntax) ,(car r)))))
                    renames)))))))
(define (%provided-renames spec)
  (cond ((not (and (list? spec) (pair? spec) (identifier? (car spec)))) '())
        (else
         (case (%id-symbol (car spec))
           ((rename-out)
            (filter (lambda (r) (and (list? r) (= (length r) 2) (every identifier? r)
                                     (not (eq? (%id-symbol (car r)) (%id-symbol (cadr r))))))
                    (cdr spec)))
           ((combine-out for-syntax) (append-map %provided-renames (cdr spec)))
           (else '())))))
(define-syntax all-defined-out (syntax-rules () ((_ . rest) (void))))
(define-syntax %submodule ; where a program's own reading has not met it: in a body
  (er-macro-transformer
   (lambda (form rename compare)
     (%macro-error (%id-symbol (car form)) "a submodule stands at the top level of a program" form))))
(define-syntax module (syntax-rules () ((_ name language form ...) (begin form ...))))
(define-syntax module+ (syntax-rules () ((_ . rest) (%submodule . rest))))
(define-syntax module* (syntax-rules () ((_ . rest) (%submodule . rest))))

;; ---- require: all that there is of Racket's modules is bound already ----
(define %modules-here
  '(racket racket/base racket/list racket/string racket/set racket/match racket/format racket/math racket/function
    racket/dict racket/hash racket/vector racket/sequence racket/stream racket/generator racket/port racket/contract
    racket/contract/base racket/contract/region racket/bool racket/control racket/promise racket/pretty racket/struct
    racket/generic racket/local racket/block racket/bytes racket/char racket/symbol racket/keyword racket/random
    racket/fixnum racket/flonum racket/unsafe/ops racket/trace racket/exn racket/mutability racket/linklet
    racket/private/generic-interfaces racket/kernel racket/init racket/runtime-config racket/load racket/undefined
    racket/class racket/date racket/path racket/async-channel racket/syntax racket/stxparam racket/mpair
    racket/provide racket/require racket/provide-syntax racket/require-syntax racket/performance-hint racket/include racket/os
    racket/phase+space racket/stxparam-exptime
    syntax/parse syntax/parse/define syntax/stx syntax/location syntax/srcloc data/heap data/queue data/gvector math/number-theory math/base
    net/uri-codec net/base64 xml file/sha1 file/md5
    json rackunit rackunit/text-ui srfi/1 srfi/2 srfi/8 srfi/9 srfi/11 srfi/13 srfi/14 srfi/26 srfi/27 srfi/69 rnrs
    scheme scheme/base scheme/list scheme/string scheme/match scheme/function scheme/class scheme/contract
    mzlib/list mzlib/string r5rs r7rs))
;; What there is in Racket and not here: a program that uses nothing of it runs all the same.
(define %modules-absent
  '(racket/file racket/system racket/unit racket/place racket/future racket/tcp racket/udp
    racket/serialize racket/fasl racket/engine racket/sandbox racket/logging racket/cmdline racket/lazy-require racket/surrogate
    racket/extflonum racket/splicing typed/racket typed/racket/base threading
    racket/runtime-path racket/treelist
    racket/gui racket/gui/base racket/draw racket/snip racket/help
    racket/enter racket/rerequire racket/package
    racket/tree racket/slice racket/lazy lazy db csv-reading
    sxml gregor uuid markdown yaml toml pict plot slideshow scribble))
(define %module-roots-absent
  '("net/" "web-server/" "syntax/" "typed/" "data/" "math/" "ffi/" "file/" "openssl/" "xml/" "html/" "db/" "parser-tools/"
    "setup/" "compiler/" "planet/" "scribble/" "pict/" "plot/" "images/" "srfi/" "racket/private/" "scheme/" "mzlib/" "rnrs/"))
(define (%module-absent? name)
  (or (memq name %modules-absent)
      (memq name '(math html openssl))
      (any (lambda (root) (string-prefix? (symbol->string name) root)) %module-roots-absent)))

(define (%check-module name form)
  (cond ((memq name %modules-here) #t)
        ((%module-absent? name)
         (%warn! "require: there is no " (symbol->string name)
                 " here: what it exports is bound to nothing. (apropos \"text\") lists what there is."))
        (else
         (let ((close (%suggest name (append %modules-here %modules-absent))))
           (%macro-error 'require
                         (string-append "there is no module " (symbol->string name)
                                        (if (pair? close)
                                            (string-append "; did you mean " (%alternatives (map symbol->string close)) "?")
                                            (string-append "; there are " (string-join (map symbol->string (take %modules-here 16)) " ")
                                                           " and more, all bound without being required")))
                         form)))))

;; What a require spec gives another name: a list of (its name here . its name in the language). Names that keep
;; theirs are bound already.
(define (%require-renames spec form)
  (define (bad) (%macro-error 'require "expected a module, such as racket/list, or (only-in module name ...)" spec))
  (define (all specs) (append-map (lambda (spec) (%require-renames spec form)) specs))
  ;; of [a b] in only-in and rename-in; a may itself be a name that an inner spec gave
  (define (renamed items inner)
    (append-map (lambda (item)
                  (if (and (list? item) (= (length item) 2) (every identifier? item))
                      (list (cons (cadr item) (own (%original-name (%id-symbol (car item)) inner))))
                      '()))
                items))
  ;; a name of a module that the program has itself: as a vector of it
  (define (own name) (if (and (symbol? name) (%own-module? spec)) (vector name) name))
  (cond ((identifier? spec) (%check-module (%id-symbol spec) form) '())
        ((string? spec)
         (%macro-error 'require
                       (string-append "there are no module files here: define what " (%->string spec 1 0)
                                      " has in the program, or write a library for (import (name))")
                       form))
        ((not (and (list? spec) (pair? spec) (identifier? (car spec)))) (bad))
        (else
         (case (%id-symbol (car spec))
           ((only-in rename-in)
            (if (null? (cdr spec)) (bad))
            (let ((inner (%require-renames (cadr spec) form)))
              (if (eq? (%id-symbol (car spec)) 'only-in) (%warn-of-absent (cadr spec) (cddr spec) inner))
              (append (renamed (cddr spec) inner)
                      (filter (lambda (entry) ; only-in takes of the inner names what it lists
                                (or (eq? (%id-symbol (car spec)) 'rename-in)
                                    (any (lambda (item) (and (identifier? item) (eq? (%id-symbol item) (%id-symbol (car entry)))))
                                         (cddr spec))))
                              inner))))
           ((except-in)
            (if (null? (cdr spec)) (bad))
            (let ((inner (%require-renames (cadr spec) form)))
              (%warn-of-absent (cadr spec) (cddr spec) inner)
              inner))
           ((prefix-in)
            (if (not (and (= (length spec) 3) (identifier? (cadr spec)))) (bad))
            (%prefixed-names (cadr spec) (%require-renames (caddr spec) form) (%own-module? spec)))
           ((combine-in for-syntax for-template for-label) (all (cdr spec)))
           ((for-meta for-space just-meta just-space) (if (pair? (cdr spec)) (all (cddr spec)) '()))
           ((quote submod file lib planet) '())
           (else (bad))))))
(define (%own-module? spec)
  (and (list? spec) (pair? spec) (pair? (cdr spec)) (identifier? (car spec))
       (case (%id-symbol (car spec))
         ((quote submod) #t)
         ((only-in rename-in except-in) (%own-module? (cadr spec)))
         ((prefix-in) (and (pair? (cddr spec)) (%own-module? (caddr spec))))
         (else #f))))
;; Names that a spec lists and nobody has. A program that never uses them runs all the same.
(define (%warn-of-absent module items renames)
  (for-each
   (lambda (item)
     (if (identifier? item)
         (let ((name (%id-symbol item)))
           (if (not (or (%language-name? name)
                        (any (lambda (entry) (eq? (%id-symbol (car entry)) name)) renames)
                        (%definition-of name %program-forms)
                        (and (identifier? module) (%module-absent? (%id-symbol module)))))
               (let ((close (%suggest name (filter %language-name? (%environment-names (%core-environment))))))
                 (%warn! "require: there is no " (symbol->string name)
                         (if (identifier? module) (string-append " in " (symbol->string (%id-symbol module))) "") " here"
                         (if (pair? close) (string-append "; did you mean " (%alternatives (map symbol->string close)) "?") ".")))))))
   items))
(define (%original-name name renames)
  (let ((entry (find (lambda (entry) (eq? (%id-symbol (car entry)) name)) renames)))
    (if entry (cdr entry) name)))

;; A prefix stands for all names of the language: those that the program uses with it are what is needed.
(define (%prefixed-names prefix renames own?)
  (let* ((text (symbol->string (%id-symbol prefix))) (n (string-length text)) (seen (make-hasheq)))
    (let loop ((form %program-forms))
      (cond ((pair? form) (loop (car form)) (loop (cdr form)))
            ((vector? form) (vector-for-each loop form))
            ((and (symbol? form) (not (hash-has-key? seen form)))
             (let ((name (symbol->string form)))
               (if (and (> (string-length name) n) (string-prefix? name text))
                   (let ((original (%original-name (string->symbol (substring name n (string-length name))) renames)))
                     (cond (own? (hash-set! seen form (if (symbol? original) (vector original) original)))
                           ((%language-name? original) (hash-set! seen form original)))))))))
    (map (lambda (entry) (cons (%id-like prefix (car entry)) (cdr entry))) (hash->list seen))))

(define (%language-name? name)
  (and (memq name (%environment-names (%core-environment)))
       (not (string-prefix? (symbol->string name) "%"))))

(define (%definition-of-rename entry form rename)
  (let ((name (car entry)) (original (cdr entry)))
    (cond ((vector? original)
           (list `(,(rename 'define-syntax) ,name
                   (,(rename 'make-rename-transformer) (,(rename 'syntax) ,(%id-like name (vector-ref original 0)))))))
          ((eq? (%id-symbol name) original) '())
          ((not (%language-name? original))
           (let ((close (%suggest original (%visible-names))))
             (%macro-error 'require
                           (string-append "there is no " (symbol->string original) " to be called " (symbol->string (%id-symbol name))
                                          (if (pair? close) (string-append "; did you mean " (%alternatives (map symbol->string close)) "?") ""))
                           form)))
          ((eq? (%environment-ref (%core-environment) original %none) %none) ; a form of the syntax
           (list `(,(rename 'define-syntax) ,name
                   (,(rename 'er-macro-transformer)
                    (,(rename 'lambda) (form again compare)
                     (,(rename 'cons) (,(rename 'quote) ,(rename original)) (,(rename 'cdr) form)))))))
          (else (list `(,(rename 'define) ,name ,(rename original)))))))

(define-syntax require
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (if (not (list? form)) (%macro-error 'require "expected modules" form))
     (let ((definitions
             (append-map (lambda (spec)
                           (append-map (lambda (entry) (%definition-of-rename entry form rename)) (%require-renames spec form)))
                         (cdr form))))
       (if (null? definitions)
           `(,(rename 'void))
           `(,(rename 'begin) ,@definitions))))))

;; ---- namespaces: there is one ----
(define (make-base-namespace) (interaction-environment))
(define (make-base-empty-namespace) (interaction-environment))
(define (current-namespace . ignored) (interaction-environment))
(define (namespace-require . ignored) (void))
(define (namespace-anchor->namespace anchor) (interaction-environment))
(define-syntax define-namespace-anchor (syntax-rules () ((_ name) (define name #f))))

;; in a body
(define-syntax local-require (syntax-rules () ((_ . specs) (require . specs))))

;; a future is run when it is touched
(define (future thunk) (%make-future (delay (thunk))))
(define-record-type %future-record (%make-future promise) future? (promise %future-promise))
(%set-rtd-printer! (%record-rtd (%make-future #f)) (lambda (f) "#<future>"))
(define (touch f) (force (%future-promise f)))
(define (processor-count) 1)

;; ---- what there is not: docs/language.md has the same words ----
(define-syntax %define-missing
  (syntax-rules ()
    ((_ (advice name ...) ...)
     (begin (%absent advice name ...) ...))))
(define-syntax %absent
  (syntax-rules ()
    ((_ advice name ...)
     (begin (define-syntax name (er-macro-transformer (lambda (form rename compare) (%macro-error 'name advice form)))) ...))))
(%define-missing
 ("there are no syntax classes of one's own here; test the parts in the clause, with #:when or #:fail-unless"
  define-syntax-class define-splicing-syntax-class)
 ("there are no places here; use spawn or map-async" place dynamic-place)
 ("there are no units here; use procedures of what they import, or classes" unit define-unit define-signature invoke-unit)
 ("there are no tables with an equality of their own here; give the key's structure #:methods gen:equal+hash, or change keys into what is compared"
  define-custom-hash-types make-custom-hash make-immutable-custom-hash)
 ("there is no command line here; what the program works on is in (context), or defined in it" parse-command-line)
 ("there are no log receivers here; write to standard error with eprintf" define-logger make-logger log-message)
 ("there is no trace here; print what is of interest with printf or eprintf" trace untrace trace-define)
 ("there are no sequence macros here; write a procedure that gives a list, a stream or (in-generator ...)" define-sequence-syntax)
 ("there is no file system here; see checkpoint and restore for what is to last, py-exec for files of the workspace"
  define-runtime-path in-directory directory-list make-directory copy-file rename-file-or-directory)
 ("there is no foreign interface here; use py-exec" ffi-lib get-ffi-obj define-ffi-definer)
 ("there is no network here; ask a host function, or py-exec" tcp-connect tcp-listen get-pure-port http-sendrecv serve/servlet)
 ("there are no with-contract regions here; use define/contract" with-contract)
 ("there are no engines here; use with-timeout" engine make-engine engine-run))
