;; chibi/flonum.scm — what (srfi 144) takes from C's mathematical library.

(define (%fl:copysign x y)
  (if (eq? (%negative-zero-or-less? x) (%negative-zero-or-less? y)) x (- x)))
(define (%negative-zero-or-less? x) (or (< x 0.0) (eqv? x -0.0)))
(define (%fl:frexp x)
  (if (or (= x 0.0) (nan? x) (infinite? x))
      (%list x 0)
      (let ((e (+ 1 (%floor-log2 (exact (abs x))))))
        (%list (inexact (/ (exact x) (expt 2 e))) e))))
(define (%fl:ldexp f e) (if (or (= f 0.0) (not (finite? f))) f (inexact (* (exact f) (expt 2 e)))))
(define (%fl:modf x)
  (let ((whole (truncate x)))
    (%list (if (infinite? x) (%fl:copysign 0.0 x) (- x whole)) whole)))
(define (%fl:nextafter x y)
  (cond ((nan? x) x) ((nan? y) y) ((= x y) y)
        ((= x 0.0) (%fl:copysign 4.9406564584124654e-324 y))
        (else
         (let ((bits (%float->bits (abs x) 11 52)) (away? (if (> x 0.0) (> y x) (< y x))))
           (%fl:copysign (%bits->float (+ bits (if away? 1 -1)) 11 52) x)))))
(define (%fl:exponent x)
  (cond ((= x 0.0) -inf.0) ((infinite? x) +inf.0) ((nan? x) x)
        (else (inexact (%floor-log2 (exact (abs x)))))))
(define (%fl:integer-exponent x) (%floor-log2 (exact (abs x))))
(define (%fl:remquo x y)
  (let* ((q (round (/ (exact x) (exact y)))))
    (%list (inexact (- (exact x) (* q (exact y)))) q)))
(define (%fl:cbrt x)
  (if (or (= x 0.0) (not (finite? x)))
      x
      (let* ((guess (%fl:copysign (exp (/ (log (abs x)) 3.0)) x))
             (next (- guess (/ (- (* guess guess guess) x) (* 3.0 guess guess)))))
        (if (= next (round next)) next
            (let ((r (round next))) (if (= (* r r r) x) r next))))))
(define (%fl:hypot x y)
  (cond ((or (infinite? x) (infinite? y)) +inf.0)
        (else (let ((big (max (abs x) (abs y))) (small (min (abs x) (abs y))))
                (if (= big 0.0) 0.0 (* big (sqrt (+ 1.0 (sqr (/ small big))))))))))
(define (%fl:expm1 x)
  (if (< (abs x) 1e-5) (+ x (/ (* x x) 2.0) (/ (* x x x) 6.0)) (- (exp x) 1.0)))
(define (%fl:log1p x)
  (if (< (abs x) 1e-5) (+ (- x (/ (* x x) 2.0)) (/ (* x x x) 3.0)) (log (+ 1.0 x))))
(define (%fl:asinh x) (%fl:copysign (log (+ (abs x) (sqrt (+ 1.0 (* x x))))) x))
(define (%fl:acosh x) (log (+ x (sqrt (- (* x x) 1.0)))))
(define (%fl:atanh x) (/ (log (/ (+ 1.0 x) (- 1.0 x))) 2.0))

;; Lanczos' approximation, g = 7.
(define %lanczos
  '(676.5203681218851 -1259.1392167224028 771.32342877765313 -176.61502916214059
    12.507343278686905 -0.13857109526572012 9.9843695780195716e-6 1.5056327351493116e-7))
(define (%fl:lgamma x)                                  ; log |gamma x|
  (if (< x 0.5)
      (- (log (abs (/ 3.141592653589793 (sin (* 3.141592653589793 x))))) (%fl:lgamma (- 1.0 x)))
      (let* ((x (- x 1.0)) (t (+ x 7.5)))
        (let loop ((rest %lanczos) (i 1) (sum 0.99999999999980993))
          (if (pair? rest)
              (loop (cdr rest) (+ i 1) (+ sum (/ (car rest) (+ x i))))
              (+ 0.9189385332046727 (* (+ x 0.5) (log t)) (- t) (log sum)))))))
(define (%fl:gamma x)
  (cond ((and (integer? x) (<= 1.0 x 23.0)) (inexact (apply * (iota (- (exact x) 1) 1))))
        ((and (<= x 0.0) (integer? x)) +nan.0)
        (else
         (* (exp (%fl:lgamma x))
            (if (and (< x 0.0) (odd? (exact (floor x)))) -1.0 1.0)))))
(define (%fl:lgamma-sign x)
  (%list (%fl:lgamma x) (if (and (< x 0.0) (odd? (exact (floor x)))) -1 1)))

;; erf by its series near 0, by a continued fraction beyond.
(define (%fl:erf x)
  (if (< (abs x) 3.0)
      (let loop ((n 0) (term x) (sum x))
        (let* ((n (+ n 1)) (term (/ (* -1.0 term x x) n)) (next (+ sum (/ term (+ 1 (* 2 n))))))
          (if (= next sum) (* 1.1283791670955126 sum) (loop n term next))))
      (%fl:copysign (- 1.0 (%fl:erfc (abs x))) x)))
(define (%fl:erfc x)
  (if (< x 3.0)
      (- 1.0 (%fl:erf x))
      (let loop ((k 60) (f 0.0))
        (if (= k 0)
            (/ (exp (- (* x x))) (* 1.772453850905516 (+ x f)))
            (loop (- k 1) (/ (/ k 2.0) (+ x f)))))))

;; Bessel functions of integer order: the integral (1/pi) of cos(n t - x sin t) by Simpson's rule,
;; which converges like a power for a periodic integrand.
(define (%fl:jn n x)
  (let ((steps 400))
    (let loop ((i 0) (sum 0.0))
      (if (= i steps)
          (/ sum steps)
          (let ((t (/ (* 3.141592653589793 (+ i 0.5)) steps)))
            (loop (+ i 1) (+ sum (cos (- (* n t) (* x (sin t)))))))))))
;; Those of the second kind: of the orders 0 and 1 for a small argument by Neumann's series in the functions of the first
;; kind, for a large one by Hankel's expansion; from there upwards, which is stable.
(define (%fl:yn n x)
  (let ((n (exact n)))
    (cond ((nan? x) x)
          ((< x 0.0) +nan.0)
          ((= x 0.0) -inf.0)
          ((infinite? x) 0.0)
          ((< n 0) (let ((y (%fl:yn (- n) x))) (if (odd? n) (- y) y)))
          (else
           (let ((two (if (< x 60.0) (%bessel-near x) (list (%bessel-far 0 x) (%bessel-far 1 x)))))
             (let up ((k 0) (y (car two)) (next (cadr two)))
               (cond ((= k n) y)
                     ((= next -inf.0) next)
                     (else (up (+ k 1) next (- (/ (* 2.0 (+ k 1) next) x) y))))))))))
;; J by Miller's recurrence from far above, down to the order 0, where their sum tells the scale.
(define (%bessel-near x)
  (let* ((top (* 2 (exact (ceiling (+ 20.0 x))))) (js (make-vector (+ top 2) 0.0)))
    (vector-set! js top 1e-30)
    (let down ((k top))
      (when (> k 0)
        (let ((j (- (/ (* 2.0 k (vector-ref js k)) x) (vector-ref js (+ k 1)))))
          (vector-set! js (- k 1) j)
          (when (> (abs j) 1e200) (do ((i (- k 1) (+ i 1))) ((> i top)) (vector-set! js i (* 1e-250 (vector-ref js i)))))
          (down (- k 1)))))
    (let* ((scale (let sum ((k 2) (s (vector-ref js 0))) (if (> k top) s (sum (+ k 2) (+ s (* 2.0 (vector-ref js k)))))))
           (j (lambda (k) (/ (vector-ref js k) scale)))
           (series (lambda (order)
                     (let sum ((k 1) (sign -1.0) (s 0.0))
                       (if (> (+ order (* 2 k)) top)
                           s
                           (sum (+ k 1) (- sign)
                                (+ s (/ (* sign (+ order (* 2 k)) (j (+ order (* 2 k)))) (* k (+ order k)))))))))
           (rest (+ (log (/ x 2.0)) 0.5772156649015329)) (two/pi 0.6366197723675814))
      (list (* two/pi (- (* rest (j 0)) (series 0)))
            (- (* two/pi (- (* (- rest 1.0) (j 1)) (series 1))) (/ (* two/pi (j 0)) x))))))
(define (%bessel-far order x)
  (let ((mu (* 4.0 order order)) (angle (- x (* 3.141592653589793 (+ (/ order 2.0) 0.25)))))
    (let loop ((k 0) (term 1.0) (p 0.0) (q 0.0))         ; the terms' signs: p + - + ..., q + - + ...
      (let* ((sign (if (even? (quotient k 2)) 1.0 -1.0))
             (p (if (even? k) (+ p (* sign term)) p)) (q (if (odd? k) (+ q (* sign term)) q)) (odd (+ (* 2.0 k) 1.0))
             (next (/ (* term (- mu (* odd odd))) (* (+ k 1) 8.0 x))))
        (if (or (< (abs next) 1e-18) (= k 60))
            (* (sqrt (/ 2.0 (* 3.141592653589793 x))) (+ (* p (sin angle)) (* q (cos angle))))
            (loop (+ k 1) next p q))))))

;; ---- the table: constants and functions ----

(define %fl-constants
  (let* ((e 2.718281828459045) (pi 3.141592653589793) (phi 1.618033988749895)
         (euler 0.5772156649015329) (root (lambda (x y) (expt x (/ 1.0 y)))))
    `((fl-e . ,e) (fl-1/e . ,(/ e)) (fl-e-2 . ,(* e e)) (fl-e-pi/4 . ,(exp (/ pi 4)))
      (fl-log2-e . ,(/ (log 2.0))) (fl-log10-e . ,(/ (log 10.0))) (fl-log-2 . ,(log 2.0))
      (fl-1/log-2 . ,(/ (log 2.0))) (fl-log-3 . ,(log 3.0)) (fl-log-pi . ,(log pi))
      (fl-log-10 . ,(log 10.0)) (fl-1/log-10 . ,(/ (log 10.0))) (fl-pi . ,pi) (fl-1/pi . ,(/ pi))
      (fl-2pi . ,(* 2 pi)) (fl-2/pi . ,(/ 2 pi)) (fl-pi/2 . ,(/ pi 2)) (fl-pi/4 . ,(/ pi 4))
      (fl-pi-squared . ,(* pi pi)) (fl-degree . ,(/ pi 180)) (fl-sqrt-pi . ,(sqrt pi))
      (fl-2/sqrt-pi . ,(/ 2 (sqrt pi))) (fl-sqrt-2 . ,(sqrt 2.0)) (fl-sqrt-3 . ,(sqrt 3.0))
      (fl-sqrt-5 . ,(sqrt 5.0)) (fl-sqrt-10 . ,(sqrt 10.0)) (fl-1/sqrt-2 . ,(/ (sqrt 2.0)))
      (fl-cbrt-2 . ,(root 2.0 3)) (fl-cbrt-3 . ,(root 3.0 3)) (fl-4thrt-2 . ,(root 2.0 4))
      (fl-phi . ,phi) (fl-log-phi . ,(log phi)) (fl-1/log-phi . ,(/ (log phi)))
      (fl-euler . ,euler) (fl-e-euler . ,(exp euler)) (fl-sin-1 . ,(sin 1.0)) (fl-cos-1 . ,(cos 1.0))
      (fl-gamma-1/2 . ,(sqrt pi)) (fl-gamma-1/3 . 2.678938534707747) (fl-gamma-2/3 . 1.3541179394264)
      (fl-greatest . 1.7976931348623157e308) (fl-least . 5e-324) (fl-epsilon . 2.220446049250313e-16)
      (fl-integer-exponent-zero . -2147483648) (fl-integer-exponent-nan . 2147483647)
      (fl-fast-+* . #f) (FP_NAN . 0) (FP_INFINITE . 1) (FP_ZERO . 2) (FP_SUBNORMAL . 3) (FP_NORMAL . 4))))

(define (%fl:classify x)
  (cond ((nan? x) 0) ((infinite? x) 1) ((= x 0.0) 2) ((< (abs x) 2.2250738585072014e-308) 3) (else 4)))
(define (%fl:fma x y z) (inexact (+ (* (exact x) (exact y)) (exact z))))

(define %fl-functions
  (map cons
       '(flonum? fl+* fladjacent flcopysign make-flonum flexponent flinteger-exponent sign-bit
         flfinite? flinfinite? flnan? flnormalized? flabs flposdiff flfloor flceiling fltruncate
         flexp flexp2 flexp-1 flsqrt flcbrt flhypot flexpt fllog fllog1+ fllog2 fllog10 flsin
         flcos fltan flasin flacos flatan1 flatan2 flsinh flcosh fltanh flasinh flacosh flatanh
         flgamma lgamma_r flfirst-bessel flsecond-bessel flerf flerfc fpclassify frexp modf remquo)
       (list flonum? %fl:fma %fl:nextafter %fl:copysign %fl:ldexp %fl:exponent %fl:integer-exponent
             (lambda (x) (if (%negative-zero-or-less? x) 1 0))
             finite? infinite? nan? (lambda (x) (= 4 (%fl:classify x))) abs
             (lambda (x y) (max 0.0 (- x y))) floor ceiling truncate
             exp (lambda (x) (expt 2.0 x)) %fl:expm1 sqrt %fl:cbrt %fl:hypot expt log %fl:log1p
             (lambda (x) (log x 2)) (lambda (x) (log x 10)) sin cos tan asin acos
             (lambda (x) (atan x)) (lambda (y x) (atan y x))
             sinh cosh tanh %fl:asinh %fl:acosh %fl:atanh
             %fl:gamma %fl:lgamma-sign %fl:jn %fl:yn %fl:erf %fl:erfc %fl:classify %fl:frexp %fl:modf
             %fl:remquo)))

(define (%native-library! name bindings)
  (%define-core-library!
   name
   (map (lambda (b)
          (let ((internal (string->symbol (string-append "%fl:" (symbol->string (car b))))))
            (%environment-define! (%core-environment) internal (cdr b))
            (cons internal (car b))))
        bindings)))
(%native-library! '(%native "144/math") (append %fl-constants %fl-functions))
