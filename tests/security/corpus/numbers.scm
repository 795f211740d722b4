;;; a power whose result no memory holds
;;; => error exn:fail "too large"
(expt 10 (expt 10 10))

;;; a power of powers
;;; => error exn:fail "too large"
(expt 2 (expt 2 64))

;;; a shift by what no memory holds
;;; => error exn:fail "too large"
(arithmetic-shift 1 100000000000)

;;; a factorial without end
;;; => limit fuel
(let loop ((n 1) (f 1)) (loop (+ n 1) (* f n)))

;;; the digits of a number of a megabit
;;; => limit fuel
(string-length (number->string (expt 3 3000000)))

;;; a decimal with an exponent that no memory holds
;;; => value "+inf.0"
(string->jsexpr "1e99999999999999999999")

;;; an exact decimal with a huge exponent
;;; => error exn:fail "too large"
(string->number "#e1e1000000000")

;;; a fraction whose parts grow without end
;;; => limit fuel
(let loop ((x 1/3)) (loop (+ (* x x) 1/7)))

;;; a division by zero
;;; => error exn:fail:contract:divide-by-zero "division by zero"
(quotient (expt 10 100) 0)

;;; an inexact division by zero
;;; => value "(+inf.0 -inf.0 +nan.0)"
(list (/ 1.0 0.0) (/ -1.0 0.0) (/ 0.0 0.0))

;;; not a number as an index
;;; => error exn:fail:contract "vector-ref"
(vector-ref (vector 1 2) +nan.0)

;;; infinity as a length
;;; => error exn:fail:contract "make-vector"
(make-vector +inf.0 0)

;;; a length that wraps around in 32 bits
;;; => limit memory_bytes
(make-vector 4294967297 0)

;;; a length that wraps around in 64 bits
;;; => error exn:fail:contract "make-vector"
(make-vector 18446744073709551617 0)

;;; a length in bytes that wraps around
;;; => limit memory_bytes
(make-string 1073741825 #\x1f600)

;;; the smallest small integer, turned around
;;; => value "(2305843009213693952 9223372036854775808 1)"
(list (- -2305843009213693952) (- -9223372036854775808) (quotient -9223372036854775808 -9223372036854775808))

;;; the smallest integer of 64 bits divided by minus one
;;; => value "9223372036854775808"
(quotient -9223372036854775808 -1)

;;; a range without an end
;;; => limit memory_bytes
;;; limits: memory_bytes=8388608
(range 0 1 1e-300)

;;; a range whose step is zero
;;; => error exn:fail:contract "never end"
(range 0 10 0)

;;; counting to what is never reached
;;; => limit fuel
(let loop ((x 1e300)) (if (= x +inf.0) 1 (loop (+ x 1))))

;;; the exact integer of infinity
;;; => error exn:fail:contract "exact"
(exact +inf.0)

;;; the root of a number of megabits
;;; => limit fuel
(let loop () (integer-sqrt (expt 7 300000)) (loop))

;;; the greatest common divisor of large numbers
;;; => limit fuel
(let loop ((a (expt 3 100000)) (b (expt 2 150000))) (gcd (+ a 1) (+ b 1)) (loop (+ a 2) (+ b 4)))

;;; chance with a bound of a megabit
;;; => error exn:fail:contract "random"
(random (expt 2 1000000) 0)

;;; chance with a bound of zero
;;; => error exn:fail:contract "random"
(random 0)

;;; a text of a million digits as a number
;;; => limit fuel
(let loop () (string->number (make-string 1000000 #\7)) (loop))

;;; a base that there is not
;;; => error exn:fail:contract "radix"
(number->string 10 1)

;;; a test for primes of a large number
;;; => limit fuel
(let loop ((n (+ 1 (expt 10 300)))) (prime? n) (loop (+ n 2)))
