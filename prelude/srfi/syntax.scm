;; srfi/syntax.scm — the SRFIs that are macros: 2 and-let*, 26 cut, 31 rec, 61/87 are core,
;; 227 optionals, 219 is core, 145 assume.

(define-syntax and-let*
  (syntax-rules ()
    ((_ ()) #t)
    ((_ () body ...) (let () body ...))
    ((_ ((name expression)) ) (let ((name expression)) name))
    ((_ ((expression))) expression)
    ((_ ((name expression) clause ...) body ...)
     (let ((name expression))
       (if name (and-let* (clause ...) body ...) #f)))
    ((_ ((expression) clause ...) body ...)
     (if expression (and-let* (clause ...) body ...) #f))
    ((_ (name) ) name)
    ((_ (name clause ...) body ...)
     (if name (and-let* (clause ...) body ...) #f))))

(define-syntax cut
  (syntax-rules ()
    ((_ slot ...) (%cut-slots () () slot ...))))

;; Names so far, the call so far, the rest of the slots.
(define-syntax %cut-slots
  (syntax-rules (<> <...>)
    ((_ (name ...) (f x ...)) (lambda (name ...) ((begin f) x ...)))
    ((_ (name ...) (f x ...) <...>)
     (lambda (name ... . rest) (apply f x ... rest)))
    ((_ (name ...) (x ...) <> slot ...) (%cut-slots (name ... new) (x ... new) slot ...))
    ((_ names (x ...) expression slot ...) (%cut-slots names (x ... expression) slot ...))))

;; Like cut, but expressions are evaluated once, when the procedure is made.
(define-syntax cute
  (syntax-rules ()
    ((_ slot ...) (%cute () () () slot ...))))

(define-syntax %cute
  (syntax-rules (<> <...>)
    ((_ names bindings (f x ...)) (let bindings (lambda names (f x ...))))
    ((_ (name ...) bindings (f x ...) <...>)
     (let bindings (lambda (name ... . rest) (apply f x ... rest))))
    ((_ (name ...) bindings (x ...) <> slot ...)
     (%cute (name ... new) bindings (x ... new) slot ...))
    ((_ names (binding ...) (x ...) expression slot ...)
     (%cute names (binding ... (new expression)) (x ... new) slot ...))))

(define-syntax <> (er-macro-transformer
                   (lambda (form rename compare) (%syntax-error "<> is only used inside cut" form))))
(define-syntax <...> (er-macro-transformer
                      (lambda (form rename compare) (%syntax-error "<...> is only used inside cut" form))))

(define-syntax rec
  (syntax-rules ()
    ((_ (name . formals) body ...) (letrec ((name (lambda formals body ...))) name))
    ((_ name expression) (letrec ((name expression)) name))))

(define-syntax assume
  (syntax-rules ()
    ((_ expression message ...)
     (or expression (error "invalid assumption" 'expression message ...)))))

;; Chibi's let-optionals: take values from a list of the optional arguments.
(define-syntax let-optionals*
  (syntax-rules ()
    ((_ list () body ...) (let () body ...))
    ((_ list ((name default) . more) body ...)
     (let* ((args list)
            (rest (if (pair? args) (cdr args) '()))
            (name (if (pair? args) (car args) default)))
       (let-optionals* rest more body ...)))
    ((_ list (name . more) body ...)
     (let* ((args list) (rest (cdr args)) (name (car args)))
       (let-optionals* rest more body ...)))
    ((_ list rest body ...)
     (let ((rest (list-copy list))) body ...))))
