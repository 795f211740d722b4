;; What (srfi 144) takes from C: the functions of its mathematical library.
(import (%native "144/math"))

;; Bessel functions of the second kind; known values, and the Wronskian over all methods' ranges
(check-near (flsecond-bessel 0 1.0) => 0.08825696421567696)
(check-near (flsecond-bessel 1 1.0) => -0.7812128213002887)
(check-near (flsecond-bessel 0 0.1) => -1.5342386513503667)
(check-near (flsecond-bessel 5 10.0) => 0.1354030476893623)
(check-near (flsecond-bessel 0 100.0) => -0.07724431336508315)
(check (for/and ([x '(0.25 0.5 3.0 20.0 59.0 59.99 60.01 75.0 150.0)])
         (< (abs (- (* (flfirst-bessel 1 x) (flsecond-bessel 0 x)) (* (flfirst-bessel 0 x) (flsecond-bessel 1 x)) (/ 2.0 (* pi x)))) 1e-14))
       => #t)
(check (list (flsecond-bessel 0 0.0) (flsecond-bessel 400 1.0) (flsecond-bessel 1 +inf.0)) => '(-inf.0 -inf.0 0.0))
(check (nan? (flsecond-bessel 0 -1.0)) => #t)
(check (= (flsecond-bessel -3 2.0) (- (flsecond-bessel 3 2.0))) => #t)
(check (cadr (call-with-values (lambda () (apply values (lgamma_r 0.1))) list)) => 1)
(report)
