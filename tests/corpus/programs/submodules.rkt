#lang racket
(module helpers racket
  (provide double (struct-out pt) greeting)
  (struct pt (x y) #:transparent)
  (define greeting "hi")
  (define (double x) (* 2 x)))
(require 'helpers)
(double 21)
(pt 1 2)
greeting
(module geometry racket/base
  (provide area (rename-out [perim perimeter]))
  (define (area w h) (* w h))
  (define (perim w h) (* 2 (+ w h))))
(require (prefix-in g: 'geometry))
(g:area 2 3)
(g:perimeter 2 3)
(module+ extra
  (displayln "extra never runs"))
(module+ main
  (define args '("x" "y"))
  (printf "main with ~a args\n" (length args)))
(define (top) 'top)
(top)
(define x 10)
(module+ main
  (printf "x is ~a\n" x))
(local [(define x 5) (define (f y) (+ x y))] (f 1))
(let () (define a 1) (define b (+ a 1)) (list a b))
(define-values (q r) (let ([n 17]) (values (quotient n 5) (remainder n 5))))
(list q r)
(begin (displayln "in begin") 'value)
