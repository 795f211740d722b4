;; runtime/boot.scm — the driver: read, expand, compile, run.
;;
;; The expander and the compiler are primitives that never call a guest procedure. What they need of
;; one (a macro's transformer, a library's text) they ask for with a request, and the driver
;; here satisfies it. So a program may be suspended, preempted and snapshotted inside a macro, too.

;; Libraries come from the host: (%fetch-library name) gives the text of its definition or #f,
;; (%fetch-include path library) the text of an included file or #f. runtime/main.scm sets them.
(define %fetch-library (lambda (name) #f))
(define %fetch-include (lambda (path library) #f))

;; `show` gets the value of each form that is evaluated, what a begin at the top level splices included; #f: nothing
;; does. Most forms ask for nothing: %compile-form expands and compiles them in one go.
(define (%eval-form form env name [show #f])
  (let ((done (%compile-form form env name)))
    (cond ((pair? done) (%eval-asking (car done) (cdr done) name show))
          (show (%show-value done show))
          (else (done)))))
(define (%show-value thunk show)
  (let ((value (thunk)))
    (show value)
    value))

;; r: what the expansion asks for, and at last its tree.
(define (%eval-asking state r name show)
  (define (answer! v)
    (%expand-give! state v)
    (%eval-asking state (%expand-run state) name show))
  (case (vector-ref r 0)
    ((%call) (answer! (apply (vector-ref r 1) (vector-ref r 2))))
    ((%eval) (answer! ((%compile (vector-ref r 1) name))))
    ((%load-library) (answer! (%load-library (vector-ref r 1))))
    ((%library-exists?) (answer! (if (%fetch-library (vector-ref r 1)) #t #f)))
    ((%include) (answer! (%include-forms (vector-ref r 1) (vector-ref r 2) (vector-ref r 3))))
    ((%splice) (%eval-forms (vector-ref r 1) (vector-ref r 2) name show))
    (else (if show (%show-value (%compile r name) show) ((%compile r name))))))

;; The value is the last form's.
(define (%eval-forms forms env name [show #f])
  (cond ((null? forms) (void))
        ((null? (cdr forms)) (%eval-form (car forms) env name show))
        (else (%eval-form (car forms) env name show)
              (%eval-forms (cdr forms) env name show))))

;; A program: all of it is read before any of it runs, so that a missing bracket costs nothing; and
;; what it defines is known before its first form is expanded, so that a procedure may use a name
;; that the program defines further down, even one that a library has too.
;; The forms are kept for error messages. What a module of Racket's means, dialect/modules.scm knows.
(define %program-forms '())
(define (%program-of text env name)
  (let ((forms (%module-body (%read-all text name))))
    (set! %program-forms forms)
    (if (%note-program! env forms) (%note-structs! forms))
    forms))
(define (%eval-program text env name)
  (%eval-forms (%program-of text env name) env name (and (%prints-values? text) %print-value)))

;; The parameter %loading (r7rs/parameters.scm) holds the libraries that are being loaded, innermost
;; first: a circle among them is an error. A failure that ends the execution leaves nothing behind.
(define (%load-library name)
  (if (member name (%loading))
      (%raise (%make-condition 'exn:fail:syntax
                               (string-append "circular import of library " (%written name)) (list name))))
  (let ((text (%fetch-library name)))
    (and text
         (%parameterize
          (list (cons %loading (cons name (%loading))))
          (lambda ()
            (%eval-forms (%read-all text (%library-file name)) (%make-environment #f) (%library-symbol name))
            #t)))))

;; Code of libraries does not show in backtraces: its source is a symbol (see error.c).
(define (%library-symbol name) (string->symbol (%written name)))
(define (%library-file name) (%library-symbol name))

(define (%include-forms paths fold-case? library)
  (append-map
   (lambda (path)
     (let ((text (%fetch-include path library)))
       (if (not text)
           (%raise (%make-condition 'exn:fail:syntax (string-append "include: no such file: " path) (list path))))
       (%read-all (if fold-case? (string-append "#!fold-case " text) text)
                  (if library (%library-symbol library) path))))
   paths))
