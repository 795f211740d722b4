;; The reference: every binding's signature, one sentence, and an example with what it gives. It is
;; the one source of (help 'name), (apropos "text") and docs/reference.md; a test runs the examples.
;;
;; (%reference "Section" entry ...), an entry being ("(name argument ...)" "Sentence." example result),
;; the last two left out where nothing can be shown.

(define %reference-sections '())
(define %reference-index (make-hasheq))

(define (%add-reference! section entries)
  (set! %reference-sections (cons (cons section (map %reference-entry entries)) %reference-sections))
  (for-each (lambda (entry) (hash-set! %reference-index (car entry) entry)) (cdar %reference-sections)))

(define-syntax %reference
  (syntax-rules () ((_ section entry ...) (%add-reference! section '(entry ...)))))

;; (name signature sentence . example): example is () or (expression result)
(define (%reference-entry entry)
  (let* ((signature (car entry)) (m (regexp-match #px"^\\(*([^\\s()]+)" signature)))
    (list* (string->symbol (cadr m)) signature (cadr entry) (cddr entry))))

;; ---- for programs ----
;; the whole table: a list of (section entry ...)
(define (reference) (reverse %reference-sections))

(define-syntax help
  (er-macro-transformer
   (lambda (form rename compare)
     `(,(rename '%help)
       ,(cond ((null? (cdr form)) #f)
              ((identifier? (cadr form)) `(,(rename 'quote) ,(cadr form)))
              (else (cadr form)))))))

(define (%help name)
  (cond ((not name)
         (displayln "(help 'name) explains a name, (apropos \"text\") lists the names that contain a text. Sections:")
         (for-each (lambda (section) (printf "  ~a: ~a names\n" (car section) (length (cdr section)))) (reference)))
        ((string? name) (%help (string->symbol name)))
        ((procedure? name) (%help (object-name name)))
        ((%hash-ref %reference-index name #f)
         => (lambda (entry)
              (displayln (cadr entry))
              (displayln (caddr entry))
              (if (pair? (cdddr entry))
                  (printf "  ~a => ~s\n" (%expression-text (cadddr entry)) (car (cddddr entry))))))
        (else
         (let ((value (%environment-ref (interaction-environment) name %none)))
           (cond ((procedure? value) (displayln (%procedure-signature value)))
                 ((not (eq? value %none)) (printf "~a is bound to ~a\n" name (%shown value 80)))
                 (else
                  (let ((close (%suggest name (%visible-names))))
                    (printf "Nothing is named ~a.~a\n" name
                            (if (pair? close) (string-append " Did you mean " (%alternatives (map %quoted-name close)) "?") "")))))))))

;; an expression as one writes it: 'x for (quote x)
(define (%expression-text e)
  (let ((text (~v e))) (if (string-prefix? text "'") (substring text 1) text)))

(define (%visible-names)
  (remove-duplicates
   (filter (lambda (name) (not (string-prefix? (symbol->string name) "%"))) (%environment-names (interaction-environment)))
   eq?))

;; the names that contain a text, sorted; of one section where its name is given
(define (apropos text)
  (let* ((text (string-downcase (if (symbol? text) (symbol->string text) text)))
         (section (find (lambda (s) (string=? (string-downcase (car s)) text)) (reference))))
    (if section
        (map car (cdr section))
        (sort (filter (lambda (name) (string-contains? (symbol->string name) text)) (%visible-names)) symbol<?))))
