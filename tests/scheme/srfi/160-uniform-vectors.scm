;; SRFI 4 and 160: uniform vectors, their literals, and what equal?, tables and writing make of them.
(import (srfi 4) (srfi 160 base) (srfi 160 mini))
(define (written x) (call-with-output-string (lambda (port) (write x port))))
(define (read-back text) (read (open-input-string text)))

;; every type's literal is read, is written as it is read, and is equal to itself read again
(for-each
 (lambda (text)
   (check (written (read-back text)) => text)
   (check (equal? (read-back text) (read-back text)) => #t)
   (check (eqv? (read-back text) (read-back text)) => #f))
 '("#u1(0 1 1)" "#s8(-128 0 127)" "#s16(-32768 32767)" "#u16(0 65535)" "#s32(-2147483648 2147483647)"
   "#u32(0 4294967295)" "#s64(-9223372036854775808 9223372036854775807)" "#u64(0 18446744073709551615)"
   "#f8(0.0 -0.0 1.5 57344.0 +inf.0)" "#f16(0.5 65504.0 -inf.0)" "#f32(0.5 1.401298464324817e-45)" "#f64(0.1 1e+308 -inf.0)"
   "#c64(1.0+0.5i)" "#c128(1.0-2.0i 0.0+0.0i)" "#u32()" "#f64()"))
(check #u32(1 2) => (u32vector 1 2))
(check (quote #(#s8(1) (#f32(2)))) => (vector (s8vector 1) (list (f32vector 2))))
(check (read-back "#u32[1 2]") => (u32vector 1 2))
(check (list (u32vector? #u32(1)) (u32vector? #s32(1)) (s8vector? #u8(1)) (u8vector? #u8(1)) (vector? #u32(1))) => '(#t #f #f #t #f))
(check (equal? #u32(1) #s32(1)) => #f)
(check (equal? #f64(+nan.0 -0.0) #f64(+nan.0 -0.0)) => #t)
(check (equal? #f64(0.0) #f64(-0.0)) => #f)
(check (case #u32(1 2) ((#u32(1 2)) 'found) (else 'lost)) => 'found)
(check (hash-ref (hash #u16(1 2) 'a) (u16vector 1 2) #f) => 'a)

;; what does not fit is an error, in a literal too; real numbers are rounded
(for-each
 (lambda (text) (check-error read-error? (read-back text)))
 '("#u8(256)" "#s8(128)" "#u32(-1)" "#u64(18446744073709551616)" "#s64(9223372036854775808)" "#u32(1.0)" "#u1(2)" "#f64(1+i)" "#c64(a)"
   "#u32(1 . 2)" "#u32(1"))
(check-error error-object? (u8vector-set! (make-u8vector 1) 0 256))
(check-error error-object? (s16vector-set! (make-s16vector 1) 0 32768))
(check-error error-object? (u64vector 1/2))
(check-error error-object? (u32vector-ref #u32(1) 1))
(check-error error-object? (u32vector-ref #s32(1) 0))
(check-error error-object? (u32vector-set! #u32(1) 0 2))
(check-error error-object? (make-f64vector -1))
(check-error error-object? (list->f32vector '(1 x)))
(check (f32vector->list (f32vector 1/3 16777217)) => '(0.3333333432674408 16777216.0))

;; to the nearest, ties to even; f8's largest number instead of an infinity, f16's infinity
(define (through make ref) (lambda (x) (ref (make 1 x) 0)))
(import (only (%native "uvprims") f8vector-ref f16vector-ref))
(check (map (lambda (v) (f8vector-ref v 0)) '(#f8(9) #f8(10) #f8(11) #f8(45) #f8(1e-4) #f8(1e-6) #f8(1e9) #f8(-45000)))
       => '(8.0 10.0 12.0 48.0 1.068115234375e-4 0.0 57344.0 -40960.0))
(check (map (lambda (v) (f16vector-ref v 0)) '(#f16(2049) #f16(2051) #f16(65519) #f16(65520) #f16(5.9e-8) #f16(2.9e-8) #f16(1/3)))
       => '(2048.0 2052.0 65504.0 +inf.0 5.960464477539063e-8 0.0 0.333251953125))
(check ((through make-f32vector f32vector-ref) 1e39) => +inf.0)

;; made, changed, taken apart
(define v (make-s64vector 3 7))
(s64vector-set! v 1 -9223372036854775808)
(check v => #s64(7 -9223372036854775808 7))
(check (list (s64vector-length v) (s64vector-ref v 1) (s64vector->list v) (s64vector->list v 1) (s64vector->list v 1 2))
       => '(3 -9223372036854775808 (7 -9223372036854775808 7) (-9223372036854775808 7) (-9223372036854775808)))
(check (list->u8vector '(1 2)) => #u8(1 2))
(check (apply + (u32vector->list (make-u32vector 20000 3))) => 60000)
(check (u64vector-ref (list->u64vector (list (- (expt 2 64) 1))) 0) => 18446744073709551615)
(check (string-length (written (make-f64vector 20000 0.5))) => 80005)
(check (map (lambda (n) (c128vector->list (make-c128vector n 1+2i))) '(0 1 2 5)) => (map (lambda (n) (make-list n 1.0+2.0i)) '(0 1 2 5)))
(check (list (u8? 255) (u8? 256) (s8? -128) (s8? -129) (u1? 2) (u16? 65535) (s64? (expt 2 63)) (f32? 1.5) (f32? 1) (c64? 1.0+i) (c64? 1) (f8? 1.0))
       => '(#t #f #t #f #f #t #f #t #f #t #f #t))
(check (list (make-u32vector 3) (make-f64vector 2) (make-u1vector 7 1)) => (list #u32(0 0 0) #f64(0 0) #u1(1 1 1 1 1 1 1)))
(check-error error-object? (u64vector->list v))
(report)
