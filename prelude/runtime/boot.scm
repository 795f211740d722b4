;; runtime/boot.scm — the driver: read, expand, compile, run.
;;
;; The expander and the compiler are primitives that never call a guest procedure. What they need of
;; one (a macro's transformer, a library's text) they ask for with a request, and the driver
;; here satisfies it. So a program may be suspended, preempted and snapshotted inside a macro, too.

;; Libraries come from the host: (%fetch-library name) gives the text of its definition or #f,
;; (%fetch-include path library) the text of an included file or #f. runtime/main.scm sets them.
(define %fetch-library (lambda (name) #f))
(define %fetch-include (lambda (path library) #f))

(define (%eval-form form env name) (%run-form form env name #f #f '()))

;; state: of an expansion that asks for something; r: what it asks for. At last its tree; of (begin form ...) the
;; request to splice, which no tree looks like: it begins with a symbol.
(define (%answered state r name)
  (define (answer! v)
    (%expand-give! state v)
    (%answered state (%expand-run state) name))
  (case (vector-ref r 0)
    ((%call) (answer! (apply (vector-ref r 1) (vector-ref r 2))))
    ((%eval) (answer! ((%compile (vector-ref r 1) name))))
    ((%load-library) (answer! (%load-library (vector-ref r 1))))
    ((%library-exists?) (answer! (if (%fetch-library (vector-ref r 1)) #t #f)))
    ((%include) (answer! (apply %include-forms (cdr (vector->list r)))))
    (else r)))
(define (%splice? r) (eq? (vector-ref r 0) '%splice))
;; Without running it.
(define (%expand-form form env name)
  (let ((state (%expand-start form env)))
    (%answered state (%expand-run state) name)))

;; The value is the last form's.
(define (%eval-forms forms env name) (%run-forms forms env name #f #f '()))

;; A program: all of it is read before any of it runs, so that a missing bracket costs nothing; and
;; what it defines is known before its first form is expanded, so that a procedure may use a name
;; that the program defines further down, even one that a library has too.
;; The forms are kept for error messages. What a module of Racket's means, dialect/modules.scm knows.
(define %program-forms '())
(define %show #f) ; what prints the values of its forms, or #f
(define (%program-of text env name)
  (let ((forms (%module-body (%read-all text name))))
    (set! %program-forms forms)
    (set! %show (and (%prints-values? text) %print-value))
    (if (%note-program! env forms) (%note-structs! forms))
    forms))

;; Before its first LLM call a program is looked through (check.scm), also what of it has not run yet.
;; So there is a record of it: the trees of the forms that ran or run, the last first, which %compile-form
;; adds, and what is still to come: lists of forms with their environments, the innermost first. A form that
;; was expanded ahead is replaced by its tree, and is not expanded again. Kept in %program until then.
(define %program #f)

(define (%eval-program text env name)
  (let ((forms (%program-of text env name)))
    (set! %program (vector '() '()))
    (%run-forms forms env name %show %program '())))

;; Without a record: it is not looked through.
(define (%eval-unchecked text env name) (%run-forms (%program-of text env name) env name %show #f '()))

;; The value is the last form's. `show` gets the value of each form that is evaluated, what a begin at the top
;; level splices included; #f: nothing does. `program`: the record, or #f; to-come: what follows after these.
(define (%run-forms forms env name show program to-come)
  (cond (show (%run-module (list (if (null? forms) '() (list (cons forms env)))) name show program))
        ((null? forms) (void))
        ((null? (cdr forms))
         (if program (vector-set! program 1 to-come))
         (%run-form (car forms) env name show program to-come))
        (else
         (let ((to-come (cons (cons (cdr forms) env) to-come)))
           (if program (vector-set! program 1 to-come))
           (%run-form (car forms) env name show program to-come))
         (%run-forms (cdr forms) env name show program to-come))))

;; What shows its values is run as Racket runs a module: a continuation goes as far as the form that it was taken in,
;; and what comes after that form is what comes after the one that entered it again. So what is left to run is
;; in a cell, (to-come), which a continuation does not keep.
(define (%run-module left name show program)
  (let loop ((value (void)))
    (if (null? (car left))
        value
        (let* ((part (caar left))
               (rest (if (null? (cdar part)) (cdar left) (cons (cons (cdar part) (cdr part)) (cdar left)))))
          (set-car! left rest)
          (if program (vector-set! program 1 rest))
          (loop (%run-form (caar part) (cdr part) name show program left))))))

;; to-come: with show the cell of what is left.
;; Most forms ask for nothing: %compile-form expands and compiles them in one go, and those that were expanded ahead.
(define (%run-form form env name show program to-come)
  (let ((done (%compile-form form env name program)))
    (cond ((pair? done)
           (let ((r (%answered (car done) (cdr done) name)))
             (if (and program (not (%splice? r))) (vector-set! program 0 (cons r (vector-ref program 0))))
             (cond ((not (%splice? r))
                    (let ((thunk (%compile-answered form (car done) r name)))
                      (if show (%show-value thunk show) (thunk))))
                   ((not show) (%run-forms (list-copy (vector-ref r 1)) (vector-ref r 2) name show program to-come))
                   ((pair? (vector-ref r 1))
                    (set-car! to-come (cons (cons (list-copy (vector-ref r 1)) (vector-ref r 2)) (car to-come)))))))
          (show (%show-value done show))
          (else (done)))))
(define (%show-value thunk show)
  (let ((value (thunk)))
    (show value)
    value))

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

;; Of a program's text that is expanded, where nothing runs that would have the place.
(define (%condition-at condition line column)
  (%condition-locate! condition)
  (unless (zero? line)
    (%set-condition-mark! condition 3 line)
    (%set-condition-mark! condition 4 column))
  condition)
(define (%include-forms paths fold-case? library line column)
  (append-map
   (lambda (path)
     (let ((text (%fetch-include path library)))
       (if (not text)
           (%raise (%condition-at (%make-condition 'exn:fail:syntax (string-append "include: no such file: " path) (list path))
                                  line column)))
       (%read-all (if fold-case? (string-append "#!fold-case " text) text)
                  (if library (%library-symbol library) path))))
   paths))
