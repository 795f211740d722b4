;; What Racket's programs bring along that means little or nothing here: modules, contracts,
;; namespaces; and what there is not, with what to write instead.

;; module-level forms that a script may bring along
(define-syntax provide (syntax-rules () ((_ . rest) (void))))
(define-syntax module+ (er-macro-transformer (lambda (form rename compare) `(,(rename 'begin) ,@(cddr form)))))
(define-syntax begin-for-syntax (syntax-rules () ((_ . rest) (void))))
(define-syntax module* (er-macro-transformer (lambda (form rename compare) `(,(rename 'void)))))

;; ---- require: all that there is of Racket's modules is bound already ----
(define %modules-here
  '(racket racket/base racket/list racket/string racket/set racket/match racket/format racket/math racket/function
    racket/dict racket/hash racket/vector racket/sequence racket/stream racket/generator racket/port racket/contract
    racket/contract/base racket/contract/region racket/bool racket/control racket/promise racket/pretty racket/struct
    racket/generic racket/local racket/block racket/bytes racket/char racket/symbol racket/keyword racket/random
    racket/fixnum racket/flonum racket/unsafe/ops racket/trace racket/exn racket/mutability racket/linklet
    racket/private/generic-interfaces racket/kernel racket/init racket/runtime-config racket/load racket/undefined
    json rackunit rackunit/text-ui srfi/1 srfi/2 srfi/8 srfi/9 srfi/11 srfi/13 srfi/14 srfi/26 srfi/27 srfi/69 rnrs
    scheme scheme/base scheme/list scheme/string mzlib/list mzlib/string r5rs r7rs))
;; What there is in Racket and not here: a program that uses nothing of it runs all the same.
(define %modules-absent
  '(racket/file racket/path racket/system racket/date racket/class racket/unit racket/place racket/future racket/tcp racket/udp
    racket/serialize racket/fasl racket/async-channel racket/engine racket/sandbox racket/logging racket/cmdline
    racket/runtime-path racket/lazy-require racket/splicing racket/stxparam racket/syntax racket/os racket/treelist
    racket/gui racket/gui/base racket/draw racket/snip racket/performance-hint racket/surrogate racket/include racket/help
    racket/enter racket/rerequire racket/package racket/provide racket/require racket/provide-syntax racket/require-syntax
    racket/extflonum racket/phase+space racket/tree racket/slice racket/lazy lazy typed/racket typed/racket/base db csv-reading
    sxml gregor threading uuid markdown yaml toml pict plot slideshow scribble))
(define %module-roots-absent
  '("net/" "web-server/" "syntax/" "typed/" "data/" "math/" "ffi/" "file/" "openssl/" "xml/" "html/" "db/" "parser-tools/"
    "setup/" "compiler/" "planet/" "scribble/" "pict/" "plot/" "images/" "srfi/" "racket/private/" "scheme/" "mzlib/" "rnrs/"))
(define (%module-absent? name)
  (or (memq name %modules-absent)
      (memq name '(math xml html openssl))
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

;; The definitions that a require needs: (only-in m [a b]) and (rename-in m [a b]) give a the name b.
(define (%require-renames spec form rename)
  (define (renames items)
    (append-map (lambda (item)
                  (if (and (list? item) (= (length item) 2) (every identifier? item)
                           (not (eq? (%id-symbol (car item)) (%id-symbol (cadr item)))))
                      (list `(,(rename 'define) ,(cadr item) ,(car item)))
                      '()))
                items))
  (define (all specs) (append-map (lambda (spec) (%require-renames spec form rename)) specs))
  (cond ((identifier? spec) (%check-module (%id-symbol spec) form) '())
        ((string? spec)
         (%macro-error 'require
                       (string-append "there are no module files here: define what " (%->string spec 1 0)
                                      " has in the program, or write a library for (import (name))")
                       form))
        ((not (and (list? spec) (pair? spec) (identifier? (car spec))))
         (%macro-error 'require "expected a module, such as racket/list" spec))
        (else
         (case (%id-symbol (car spec))
           ((only-in rename-in)
            (if (null? (cdr spec)) (%macro-error 'require "expected a module, such as racket/list" spec))
            (append (%require-renames (cadr spec) form rename) (renames (cddr spec))))
           ((except-in) (if (pair? (cdr spec)) (all (list (cadr spec))) '()))
           ((prefix-in)
            (if (not (= (length spec) 3)) (%macro-error 'require "expected (prefix-in prefix module)" spec))
            (%warn! "require: " (%->string (strip-syntactic-closures spec) 1 0)
                    " gives no prefix here: write the names without it.")
            (all (cddr spec)))
           ((combine-in for-syntax for-template for-label) (all (cdr spec)))
           ((for-meta for-space just-meta just-space) (if (pair? (cdr spec)) (all (cddr spec)) '()))
           ((quote submod) '())
           (else (%macro-error 'require "expected a module, such as racket/list, or (only-in module name ...)" spec))))))

(define-syntax require
  (er-macro-transformer
   (lambda (form rename compare)
     (set! %macro-form form)
     (if (not (list? form)) (%macro-error 'require "expected modules" form))
     (let ((definitions (append-map (lambda (spec) (%require-renames spec form rename)) (cdr form))))
       (if (null? definitions)
           `(,(rename 'void))
           `(,(rename 'begin) ,@definitions))))))

;; contracts are not checked
(define-syntax define/contract
  (syntax-rules () ((_ head contract body ...) (define head body ...))))
(define-syntax struct/contract
  (syntax-rules () ((_ name ((field contract) ...) . options) (struct name (field ...) . options))))

;; ---- namespaces: there is one ----
(define (make-base-namespace) (interaction-environment))
(define (make-base-empty-namespace) (interaction-environment))
(define (current-namespace . ignored) (interaction-environment))
(define (namespace-require . ignored) (void))
(define (namespace-anchor->namespace anchor) (interaction-environment))
(define-syntax define-namespace-anchor (syntax-rules () ((_ name) (define name #f))))

;; ---- rackunit, as far as programs check themselves: a failure is shown on stderr ----
(define (%check name holds? . shown)
  (if (not holds?)
      (eprintf "FAILURE in ~a~a\n" name
               (%string-concatenate (map (lambda (v) (string-append "\n  " (%shown v 200))) shown)))))
(define (check-equal? actual expected [message #f]) (%check 'check-equal? (equal? actual expected) actual expected))
(define (check-not-equal? actual expected [message #f]) (%check 'check-not-equal? (not (equal? actual expected)) actual))
(define (check-eq? actual expected [message #f]) (%check 'check-eq? (eq? actual expected) actual expected))
(define (check-eqv? actual expected [message #f]) (%check 'check-eqv? (eqv? actual expected) actual expected))
(define (check-= actual expected tolerance [message #f])
  (%check 'check-= (<= (abs (- actual expected)) tolerance) actual expected))
(define (check-true v [message #f]) (%check 'check-true (eq? v #t) v))
(define (check-false v [message #f]) (%check 'check-false (eq? v #f) v))
(define (check-not-false v [message #f]) (%check 'check-not-false v v))
(define (check-pred good? v [message #f]) (%check 'check-pred (good? v) v))
(define (check-exn good? thunk [message #f])
  (let ((raised (%catch (lambda (e) (list e)) (lambda () (thunk) #f))))
    (%check 'check-exn (and raised (if (regexp? good?)
                                       (and (exn? (car raised)) (regexp-match? good? (exn-message (car raised))))
                                       (good? (car raised)))))))
(define-syntax test-case (syntax-rules () ((_ name body ...) (let () body ...))))

;; ---- what there is not ----
(define-syntax %define-missing
  (syntax-rules ()
    ((_ (name advice) ...)
     (begin (define-syntax name (er-macro-transformer (lambda (form rename compare) (%macro-error 'name advice form)))) ...))))
(%define-missing
 (syntax-case "there are no syntax-case macros here; write them with define-syntax-rule or syntax-rules")
 (syntax-parse "there are no syntax-parse macros here; write them with define-syntax-rule or syntax-rules")
 (class "there are no classes here; use struct, closures, or define-generics")
 (new "there are no classes here; use struct, closures, or define-generics")
 (send "there are no classes here; use struct, closures, or define-generics")
 (place "there are no places here; use spawn or map-async"))
