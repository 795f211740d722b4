;; records.scm — define-record-type: R7RS's, with the extensions of Chibi and SRFI 131.
;;
;;   (define-record-type name constructor predicate field ...)
;;   name         identifier, or (identifier parent-rtd)
;;   constructor  (make field ...), make (all fields), #f (none), #t (make-name)
;;   predicate    identifier, #f or #t
;;   field        identifier, (field), (field accessor), (field accessor modifier)
;;
;; R7RS leaves it open whether equal? looks into records. In a program it does not, as in Racket; in a library it does, as
;; in Chibi-Scheme, whose libraries count on it.
;;
;; Accessors are made by C (%record-accessor ...), so that the VM sees a primitive-like procedure
;; and an error names the accessor.

(define-syntax define-record-type
  (er-macro-transformer
   (lambda (form rename compare)
     (define (bad message what) (%syntax-error (string-append "define-record-type: " message) what))
     (unless (and (list? form) (>= (length form) 3)) (bad "bad syntax" form))
     (let* ((type (cadr form))
            (type-name (if (pair? type) (car type) type))
            (parent (and (pair? type) (pair? (cdr type)) (cadr type)))
            (plain (identifier->symbol type-name))
            (bare (%strip-angle-brackets plain))
            (constructor (caddr form))
            (predicate (if (pair? (cdddr form)) (cadddr form) #f))
            (fields (if (pair? (cdddr form)) (cddddr form) '()))
            (field-name (lambda (f) (if (pair? f) (car f) f)))
            (names (map field-name fields))
            (symbols (%field-symbols names))
            (symbol-of (lambda (id)
                         (let ((own (assq id symbols))) (if own (cdr own) (identifier->symbol id)))))
            (_define (rename 'define))
            (_quote (rename 'quote)))
       (for-each (lambda (f)
                   (unless (or (identifier? f)
                               (and (list? f) (<= 1 (length f) 3) (every identifier? f)))
                     (bad "a field is name, (name), (name accessor) or (name accessor modifier)" form)))
                 fields)
       (when (%has-duplicates? names) (bad "duplicate field" form))
       `(,(rename 'begin)
         (,_define ,type-name
           (,(rename '%make-rtd) (,_quote ,bare) ,(or parent #f)
            (,_quote ,(list->vector (map cdr symbols)))
            ,@(if (%used-in-library? compare) `((,_quote (open))) '())))
         ,@(%record-constructor-form form type-name bare constructor names parent symbol-of rename bad)
         ,@(cond ((not predicate) '())
                 (else
                  (let ((name (if (eq? predicate #t) (%symbol-append bare '?) predicate)))
                    `((,_define ,name
                        (,(rename '%record-predicate) ,type-name (,_quote ,(identifier->symbol name))))))))
         ,@(append-map
            (lambda (f)
              (define (definition maker name)
                `(,_define ,name (,(rename maker) ,type-name (,_quote ,(symbol-of (car f)))
                                  (,_quote ,(identifier->symbol name)))))
              (cond ((or (not (pair? f)) (null? (cdr f))) '())
                    ((null? (cddr f)) (list (definition '%record-accessor (cadr f))))
                    (else (list (definition '%record-accessor (cadr f))
                                (definition '%record-modifier (caddr f))))))
            fields))))))

;; (make field ...): every named field is set, the others stay unset (#f).
(define (%record-constructor-form form type-name bare constructor names parent symbol-of rename bad)
  (define (make name field-symbols)
    `((,(rename 'define) ,name
       (,(rename '%record-constructor) ,type-name ,field-symbols
        (,(rename 'quote) ,(identifier->symbol name))))))
  (cond ((not constructor) '())
        ((eq? constructor #t) (make (%symbol-append 'make- bare) #f))
        ((identifier? constructor) (make constructor #f))
        ((not (and (list? constructor) (every identifier? constructor)))
         (bad "bad constructor" form))
        (else
         (for-each (lambda (f)
                     (unless (or parent (memq f names) (memq (identifier->symbol f) (map identifier->symbol names)))
                       (bad (string-append "the constructor names the field "
                                           (symbol->string (identifier->symbol f))
                                           ", which is not among the fields")
                            form)))
                   (cdr constructor))
         (make (car constructor)
               `(,(rename 'quote) ,(list->vector (map symbol-of (cdr constructor))))))))

;; An association list of the fields' identifiers and their symbols. A macro may have made several
;; identifiers out of one symbol: those after the first get symbols of their own.
(define (%field-symbols names)
  (let loop ((rest names) (symbols '()))
    (if (null? rest)
        (reverse symbols)
        (let ((symbol (identifier->symbol (car rest))))
          (loop (cdr rest)
                (cons (cons (car rest)
                            (if (any (lambda (s) (eq? symbol (cdr s))) symbols) (gensym symbol) symbol))
                      symbols))))))

(define (%symbol-append . parts)
  (string->symbol (apply string-append (map symbol->string parts))))

(define (%strip-angle-brackets symbol)
  (let* ((s (symbol->string symbol)) (n (string-length s)))
    (if (and (> n 2) (char=? (string-ref s 0) #\<) (char=? (string-ref s (- n 1)) #\>))
        (string->symbol (substring s 1 (- n 1)))
        symbol)))

(define (%has-duplicates? items)
  (let loop ((rest items))
    (and (pair? rest)
         (or (memq (car rest) (cdr rest)) (loop (cdr rest))))))
