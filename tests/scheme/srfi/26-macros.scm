;; SRFI 2, 8, 26, 31, 145 and cond-expand's SRFI 0.
(import (srfi 2) (srfi 8) (srfi 26) (srfi 31))
(check (list (and-let* () ) (and-let* ((x 5)) (+ x 1)) (and-let* ((x #f)) 1) (and-let* ((x 5) ((> x 10))) x) (let ((y 3)) (and-let* (y (z (+ y 1))) z))) => '(#t 6 #f #f 4))
(check (receive (a . rest) (values 1 2 3) (list a rest)) => '(1 (2 3)))
(check (list (map (cut * 2 <>) '(1 2)) ((cut list 1 <> 3 <> 5) 2 4) ((cut list 1 <...>) 2 3) ((cut + 1 2)) ((cut <> 3) -)) => '((2 4) (1 2 3 4 5) (1 2 3) 3 -3))
(check (let* ((n 0) (f (cute + (begin (set! n (+ n 1)) n) <>))) (list (f 1) (f 1) n)) => '(2 2 1))
(check ((rec (fact n) (if (= n 0) 1 (* n (fact (- n 1))))) 5) => 120)
(report)
