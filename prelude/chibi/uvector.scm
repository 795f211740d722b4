;; chibi/uvector.scm — what (srfi 160) takes from C: vectors of numbers of one kind.
;;
;; A uniform vector is a record of its type and a plain vector whose elements have been brought to
;; that type; #u8 is the bytevector. A type is #(code name convert).

(define (%integer-type bits signed?)
  (let ((low (if signed? (- (expt 2 (- bits 1))) 0))
        (high (- (expt 2 (if signed? (- bits 1) bits)) 1)))
    (lambda (x)
      (if (and (exact-integer? x) (<= low x high))
          x
          (%err-type 'uvector-set! 2
                     (string-append "integer from " (number->string low) " to " (number->string high)) x)))))
(define (%float-type exponent-bits fraction-bits)
  (lambda (x)
    (%bits->float (%float->bits (inexact x) exponent-bits fraction-bits) exponent-bits fraction-bits)))
(define (%complex-type part)
  (lambda (x) (make-rectangular (part (real-part x)) (part (imag-part x)))))

(define %f32 (%float-type 8 23))
(define %uvector-types
  (list (vector 1 'u1 (%integer-type 1 #f)) (vector 2 's8 (%integer-type 8 #t))
        (vector 3 'u8 (%integer-type 8 #f)) (vector 4 's16 (%integer-type 16 #t))
        (vector 5 'u16 (%integer-type 16 #f)) (vector 6 's32 (%integer-type 32 #t))
        (vector 7 'u32 (%integer-type 32 #f)) (vector 8 's64 (%integer-type 64 #t))
        (vector 9 'u64 (%integer-type 64 #f)) (vector 10 'f32 %f32) (vector 11 'f64 inexact)
        (vector 12 'f8 (%float-type 5 2)) (vector 13 'f16 (%float-type 5 10))
        (vector 14 'c64 (%complex-type %f32)) (vector 15 'c128 (%complex-type inexact))))
(define (%uvector-type code)
  (find (lambda (type) (= code (vector-ref type 0))) %uvector-types))

(define %uvector-rtd (%make-rtd 'uvector #f '#(type elements) '(transparent)))
(%set-rtd-printer! %uvector-rtd
  (lambda (v)
    (string-append "#" (symbol->string (vector-ref (%record-ref v 0) 1))
                   (%written (vector->list (%record-ref v 1))))))

(define (make-uvector code n [fill 0])
  (if (= code 3)
      (make-bytevector n fill)
      (let ((type (%uvector-type code)))
        (%record %uvector-rtd type (make-vector n ((vector-ref type 2) fill))))))
(define (list->uvector code items)
  (if (= code 3)
      (apply bytevector items)
      (let ((type (%uvector-type code)))
        (%record %uvector-rtd type (list->vector (map (vector-ref type 2) items))))))
(define (uvector-length v)
  (if (bytevector? v) (bytevector-length v) (vector-length (%record-ref v 1))))

(define (%uvector-of? v code)
  (and (%record-is-a? v %uvector-rtd) (= code (vector-ref (%record-ref v 0) 0))))
(define (%check-uvector who v type)
  (unless (%uvector-of? v (vector-ref type 0))
    (%err-type who 0 (string-append (symbol->string (vector-ref type 1)) "vector") v)))

;; For every type: the code's name, the predicate, ref and set!.
(%native-library! '(%native "uvprims")
  (cons
   (cons 'uvector-length uvector-length)
   (append-map
    (lambda (type)
      (let* ((name (symbol->string (vector-ref type 1)))
             (symbol (lambda (suffix) (string->symbol (string-append name "vector" suffix))))
             (code (cons (string->symbol (string-append "SEXP_" (string-upcase name))) (vector-ref type 0))))
        (if (eq? 'u8 (vector-ref type 1))
            (list code)
            (list code
                  (cons (symbol "?") (lambda (v) (%uvector-of? v (vector-ref type 0))))
                  (cons (symbol "-ref")
                        (lambda (v i)
                          (%check-uvector (symbol "-ref") v type)
                          (vector-ref (%record-ref v 1) i)))
                  (cons (symbol "-set!")
                        (lambda (v i x)
                          (%check-uvector (symbol "-set!") v type)
                          (vector-set! (%record-ref v 1) i ((vector-ref type 2) x))))))))
    %uvector-types)))
