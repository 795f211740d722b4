;; What holds in libraries and not in programs: other Schemes' libraries count on it.

(define-library (test published)
  (export ends-in-definition make-point other-point point-x set-point-x!)
  (import (scheme base))
  (begin
    (define (ends-in-definition)
      (define a 1)
      (define b (+ a 1)))
    (define-record-type point (make-point x y) point? (x point-x set-point-x!) (y point-y))
    (define (other-point p) (make-point (point-x p) (point-y p)))))
(import (test published))

;; a body may end with a definition
(check (void? (ends-in-definition)) => #t)
(check-error error-object? (eval '(let () (define a 1)) (interaction-environment)))

;; equal? looks into a library's records, not into a program's
(define p (make-point 1 '(2 "a")))
(check (list (equal? p (other-point p)) (equal? p (make-point 2 '(2 "a"))) (eqv? p (other-point p))) => '(#t #f #f))
(check (hash-ref (hash p 'found) (other-point p) #f) => 'found)
(define-record-type own (make-own x) own? (x own-x))
(check (list (equal? (make-own 1) (make-own 1)) (let ((o (make-own 1))) (equal? o o))) => '(#f #t))
(define ring (make-point 1 #f))
(set-point-x! ring ring)
(check (equal? ring ring) => #t)
(report)
