#lang racket
;; A recursive descent parser and evaluator for arithmetic.
(define (tokenize str)
  (map (lambda (t) (or (string->number t) (string->symbol t)))
       (regexp-match* #px"\\d+(?:\\.\\d+)?|[-+*/()^]" str)))

(define tokens (make-parameter '()))
(define current (box '()))
(define (peek) (if (null? (unbox current)) 'eof (car (unbox current))))
(define (advance!) (begin0 (peek) (set-box! current (cdr (unbox current)))))
(define (expect! t)
  (unless (eqv? (peek) t) (error 'parse "expected ~a, got ~a" t (peek)))
  (advance!))

(define (parse-expr)
  (let loop ([left (parse-term)])
    (case (peek)
      [(+ -) (let* ([op (advance!)] [right (parse-term)]) (loop (list op left right)))]
      [else left])))
(define (parse-term)
  (let loop ([left (parse-power)])
    (case (peek)
      [(* /) (let* ([op (advance!)] [right (parse-power)]) (loop (list op left right)))]
      [else left])))
(define (parse-power)
  (define base (parse-atom))
  (cond [(eq? (peek) '^) (advance!) (list 'expt base (parse-power))]
        [else base]))
(define (parse-atom)
  (match (peek)
    [(? number?) (advance!)]
    ['|(| (advance!) (begin0 (parse-expr) (expect! '|)|))]
    ['- (advance!) (list '- (parse-atom))]
    [t (error 'parse "unexpected token: ~s" t)]))

(define (parse str)
  (set-box! current (tokenize str))
  (define e (parse-expr))
  (unless (eq? (peek) 'eof) (error 'parse "trailing input: ~a" (unbox current)))
  e)

(define (evaluate e)
  (match e
    [(? number? n) n]
    [`(- ,a) (- (evaluate a))]
    [`(+ ,a ,b) (+ (evaluate a) (evaluate b))]
    [`(- ,a ,b) (- (evaluate a) (evaluate b))]
    [`(* ,a ,b) (* (evaluate a) (evaluate b))]
    [`(/ ,a ,b) (/ (evaluate a) (evaluate b))]
    [`(expt ,a ,b) (expt (evaluate a) (evaluate b))]))

(for ([s '("1 + 2 * 3" "(1 + 2) * 3" "2 ^ 3 ^ 2" "10 / 4" "-(2 + 3) * 2.5" "1 / 0" "2 * (3" "2 3")])
  (with-handlers ([exn:fail? (lambda (e) (printf "~a !! ~a\n" s (exn-message e)))])
    (define tree (parse s))
    (printf "~a => ~s => ~a\n" s tree (evaluate tree))))
