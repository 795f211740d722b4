#lang racket
(exact->inexact 22/7) (exact (floor 3.7)) (number->string 10 2) (bitwise-and 12 10) (bitwise-ior 12 10) (bitwise-xor 12 10) (arithmetic-shift 1 10) (arithmetic-shift 1024 -3) (bitwise-not 5)
(exact-floor 3.7) (exact-ceiling 3.2) (exact-truncate -3.7) (abs -5) (max 1 2.0) (min 1 2) (sgn -3) (sqr 5) (add1 5) (sub1 5)
(number->string 3.14) (exact? 1/2) (rational? 1.5) (integer? 2.0) (nan? +nan.0) (infinite? +inf.0) (zero? 0.0) (even? 0)
(quotient/remainder 17 5) (integer-sqrt 17) (numerator 6/4) (denominator 6/4) (gcd) (/ 6 4) (/ 6 3) (/ 1.0 3) (* 1.0 0) (- 5) (+) (*)
(round 7/2) (truncate 2.5) (exact (round 2.5)) (log 1) (sin 0) (atan 1 1) (exp 1) (expt 2 0.5) (expt 2 -2) (exact->inexact 1e-3) (inexact->exact 0.1)
(order-of-magnitude 1234) (positive? 1) (negative? -1) (number? 'a) (real? 1+2i) (make-rectangular 1 2) (magnitude 3+4i) pi (degrees->radians 180)
(string->number "1e3") (string->number "#xff") (string->number "1/2") (string->number "") (exact-round 1.5) (exact-nonnegative-integer? 5) (natural? -1)
(bitwise-bit-set? 5 0) (integer-length 255) (random 1) (real->decimal-string 1/3 4) (fixnum? 5) (flonum? 5.0) (exact-integer? 5) 
(= 1 1.0) (equal? 1 1.0) (eqv? 2 2) (< 1 2 3) (>= 3 3 2) (number->string 255 16) (infinite? 1) 1e3 123456789012345678901234567890 (expt 10 25) (exact->inexact 12345678901234567890) .5 -0.75 6.02e23
(let loop ([n 27] [steps 0]) (if (= n 1) steps (loop (if (even? n) (/ n 2) (+ 1 (* 3 n))) (add1 steps))))
(define (euclid a b) (if (zero? b) a (euclid b (modulo a b))))
(euclid 48 36)
