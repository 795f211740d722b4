;; What the dialect's macros share. They are explicit renaming macros: a transformer gets the form,
;; `rename` (a name that means what it means in this prelude) and `compare`.
;; A macro's procedures run while a program is expanded, so they may use whatever the prelude has
;; defined before them.

;; A syntax error at `form`: "match: an ellipsis with nothing before it, got ...". Its place is the
;; form's, or where that has none, that of the macro use that is being expanded.
(define %macro-form #f)
(define (%macro-error who message . form)
  (let ((form (if (pair? form) (car form) %macro-form)))
    (%syntax-error (string-append (symbol->string who) ": " message
                                  (if form (string-append ", got " (%cut (%->string (strip-syntactic-closures form) 1 0) 80)) ""))
                   (if (%pair-place form) form %macro-form))))

;; what stands for "not given" or "not found", where any value of the program may be given
(define %none (string->uninterned-symbol "none"))

(define (%id-symbol id)
  (if (symbol? id) id (identifier->symbol id)))

;; Is `x` an identifier of this name, whoever wrote it? For words that a macro knows by name only
;; (match's `list`, for's `in-list` are no such words: those are compared as bindings).
(define (%id-named? x name)
  (and (identifier? x) (eq? (%id-symbol x) name)))

;; The identifier `name` in the context of the identifier `id`: what a macro introduces on purpose
;; (`point-x` for `point`).
(define (%id-like id name) (%sibling-identifier id name))

;; (%id-append id part ...): an identifier with the context of id; the parts are strings and identifiers.
(define (%id-append context . parts)
  (%id-like context
            (string->symbol
             (apply string-append
                    (map (lambda (part)
                           (if (string? part) part (symbol->string (%id-symbol part))))
                         parts)))))

;; A maker of fresh identifiers for one expansion: every call gives another. Their symbols are not interned: so those of
;; one name differ, and procedures of such names stay out of backtraces.
(define (%fresh-namer rename)
  (lambda (name) (rename (string->uninterned-symbol name))))

;; ((name value) ...) or ([name value] ...), as let has them.
(define (%binding? x)
  (and (pair? x) (pair? (cdr x)) (null? (cddr x))))

;; A body as one expression: a scope of its own only where it may hold definitions.
(define (%body-expression rename body)
  (cond ((and (null? (cdr body)) (not (pair? (car body)))) (car body))
        (else `(,(rename 'let) () ,@body))))

;; Takes `#:key value` pairs off the front of a list: two values, an alist and the rest.
(define (%take-keywords who forms known)
  (let loop ((forms forms) (found '()))
    (cond ((and (pair? forms) (keyword? (car forms)))
           (cond ((not (memq (car forms) known))
                  (%macro-error who (string-append "unknown keyword #:" (keyword->string (car forms))) forms))
                 ((null? (cdr forms))
                  (%macro-error who (string-append "a value is missing after #:" (keyword->string (car forms))) forms))
                 (else (loop (cddr forms) (cons (cons (car forms) (cadr forms)) found)))))
          (else (values (reverse found) forms)))))

(define (%all-but-last items)
  (if (null? (cdr items)) '() (cons (car items) (%all-but-last (cdr items)))))
(define (%last-item items)
  (if (null? (cdr items)) (car items) (%last-item (cdr items))))
