;; srfi/floats.scm — IEEE 754 formats as integers: for bytevectors and uniform vectors.
;;
;; A format is its number of exponent bits and of fraction bits: (11 . 52) is a double.

;; x as a bit pattern, rounded to nearest even.
(define (%float->bits x exponent-bits fraction-bits)
  (let* ((bias (- (expt 2 (- exponent-bits 1)) 1))
         (sign (if (or (< x 0.0) (eqv? x -0.0)) 1 0))
         (infinity (arithmetic-shift (- (expt 2 exponent-bits) 1) fraction-bits))
         (magnitude
          (cond ((nan? x) (bitwise-ior infinity (arithmetic-shift 1 (- fraction-bits 1))))
                ((infinite? x) infinity)
                ((= x 0.0) 0)
                (else (min infinity (%round-to-format (exact (abs x)) bias fraction-bits))))))
    (bitwise-ior (arithmetic-shift sign (+ exponent-bits fraction-bits)) magnitude)))

;; The exponent and fraction fields of a positive exact rational: counting in units of the last
;; place makes denormals, carries into the exponent and overflow come out by themselves.
(define (%round-to-format r bias fraction-bits)
  (let* ((e (max (%floor-log2 r) (- 1 bias)))
         (units (round (* r (expt 2 (- fraction-bits e))))))
    (if (< units (expt 2 fraction-bits))
        units                                     ; denormal: the exponent field is 0
        (+ units (arithmetic-shift (+ e bias -1) fraction-bits)))))

(define (%floor-log2 r)
  (let ((guess (- (integer-length (numerator r)) (integer-length (denominator r)))))
    (if (>= r (expt 2 guess)) guess (- guess 1))))

(define (%bits->float bits exponent-bits fraction-bits)
  (let* ((bias (- (expt 2 (- exponent-bits 1)) 1))
         (sign (if (odd? (arithmetic-shift bits (- (+ exponent-bits fraction-bits)))) -1.0 1.0))
         (e (bitwise-and (arithmetic-shift bits (- fraction-bits)) (- (expt 2 exponent-bits) 1)))
         (f (bitwise-and bits (- (expt 2 fraction-bits) 1))))
    (cond ((= e (- (expt 2 exponent-bits) 1)) (if (= f 0) (* sign +inf.0) +nan.0))
          ((= e 0) (* sign (inexact (* f (expt 2 (- 1 bias fraction-bits))))))
          (else (* sign (inexact (* (+ f (expt 2 fraction-bits)) (expt 2 (- e bias fraction-bits)))))))))

;; An unsigned integer of n bytes in a bytevector.
(define (%bytes-ref bytes at n big?)
  (let loop ((i 0) (value 0))
    (if (= i n)
        value
        (loop (+ i 1)
              (+ (* 256 value)
                 (bytevector-u8-ref bytes (+ at (if big? i (- n i 1)))))))))
(define (%bytes-set! bytes at n big? value)
  (let loop ((i 0) (value value))
    (when (< i n)
      (bytevector-u8-set! bytes (+ at (if big? (- n i 1) i)) (bitwise-and value 255))
      (loop (+ i 1) (arithmetic-shift value -8)))))
(define (%signed value n)
  (let ((limit (arithmetic-shift 1 (- (* 8 n) 1))))
    (if (>= value limit) (- value limit limit) value)))
