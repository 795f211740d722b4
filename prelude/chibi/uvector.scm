;; chibi/uvector.scm — what (srfi 160) takes from C: vectors of numbers of one machine type (data/uvector.c).

(define %uvector-codes
  '((u1 . 1) (s8 . 2) (s16 . 4) (u16 . 5) (s32 . 6) (u32 . 7) (s64 . 8) (u64 . 9) (f32 . 10) (f64 . 11) (f8 . 12) (f16 . 13)
    (c64 . 14) (c128 . 15)))
(define (%uvector-names type suffixes)          ; ("?" "-ref") to ((%u32vector? . u32vector?) (%u32vector-ref . u32vector-ref))
  (map (lambda (suffix)
         (let ((name (string-append (symbol->string type) "vector" suffix)))
           (cons (string->symbol (string-append "%" name)) (string->symbol name))))
       suffixes))

;; The types as numbers, and for every type the predicate, ref and set!; #u8 is the bytevector.
(%define-core-library! '(%native "uvprims")
  (append
   '((%uvector-length . uvector-length))
   (map (lambda (code)
          (let* ((name (string-append "SEXP_" (string-upcase (symbol->string (car code)))))
                 (internal (string->symbol (string-append "%" name))))
            (%environment-define! (%core-environment) internal (cdr code))
            (cons internal (string->symbol name))))
        (cons '(u8 . 3) %uvector-codes))
   (append-map (lambda (code) (%uvector-names (car code) '("?" "-ref" "-set!"))) %uvector-codes)))

;; SRFI 4, and the base of SRFI 160: for a type `make-`, the constructor, and to and from lists, too.
(define %u8vector-names
  '((make-bytevector . make-u8vector) (bytevector . u8vector) (bytevector? . u8vector?) (bytevector-length . u8vector-length)
    (bytevector-u8-ref . u8vector-ref) (bytevector-u8-set! . u8vector-set!) (bytes->list . u8vector->list)
    (list->bytes . list->u8vector)))
(define (%uvector-library types)
  (append-map
   (lambda (type)
     (let ((name (symbol->string type)))
       (append
        (%uvector-names type '("" "?" "-length" "-ref" "-set!" "->list"))
        (list (cons (string->symbol (string-append "%make-" name "vector")) (string->symbol (string-append "make-" name "vector")))
              (cons (string->symbol (string-append "%list->" name "vector"))
                    (string->symbol (string-append "list->" name "vector")))))))
   types))
(%define-core-library! '(srfi 4) (append %u8vector-names (%uvector-library '(s8 s16 u16 s32 u32 s64 u64 f32 f64))))

;; SRFI 160 also asks of a number whether it could be an element: u8?, f32? ... Its other libraries are Chibi's.
(define (%element-test type)
  (let* ((name (symbol->string type)) (bits (string->number (substring name 1 (string-length name)))))
    (case (string-ref name 0)
      ((#\u) (lambda (x) (and (exact-integer? x) (<= 0 x (- (expt 2 bits) 1)))))
      ((#\s) (lambda (x) (and (exact-integer? x) (<= (- (expt 2 (- bits 1))) x (- (expt 2 (- bits 1)) 1)))))
      ((#\f) (lambda (x) (and (real? x) (inexact? x))))
      (else (lambda (x) (and (number? x) (inexact? x)))))))
(define (%element-tests types)
  (map (lambda (type)
         (let* ((name (string-append (symbol->string type) "?")) (internal (string->symbol (string-append "%" name))))
           (%environment-define! (%core-environment) internal (%element-test type))
           (cons internal (string->symbol name))))
       types))
(%define-core-library! '(srfi 160 base)
  (let ((types '(u1 s8 s16 u16 s32 u32 s64 u64 f32 f64 c64 c128)))
    (append %u8vector-names (%uvector-library types) (%element-tests (cons 'u8 types)))))
(%define-core-library! '(srfi 160 mini) (append (%uvector-library '(f8 f16)) (%element-tests '(f8 f16))))
