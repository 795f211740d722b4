#lang racket
(define-values (a b . rest) (values 1 2 3 4)) (list a b rest)
(begin0 'first (display "then ")) 
(let loop ([i 0]) (when (< i 3) (display i) (loop (add1 i)))) (newline)
(define x 10)
(set! x (+ x 1)) x
(let* ([x 1] [y (+ x 1)]) (list x y))
(letrec ([f (λ (n) (if (= n 0) 'done (f (- n 1))))]) (f 5))
(case "b" [("a" "b") 'str] [else 'no]) (case 'x [(x y) 1] [else 2]) (case 3 [(1 2) 'a] [(3) => (λ (n) (* n 2))])
(cond [(assoc 'k '((k . v))) => cdr] [else 'none])
`(1 ,(+ 1 1) ,@(list 3 4)) `#(1 ,x) `(a . ,x) '(quote a) ''a '`(a ,b ,@c)
(define-syntax-rule (unless2 c e ...) (if c (void) (begin e ...))) (unless2 #f 1 2)
(let-values ([(q r) (quotient/remainder 7 2)] [(z) 5]) (list q r z))
(call-with-values (λ () (values 1 2)) cons)
(parameterize ([current-output-port (current-output-port)]) (display "param") (newline))
(define lst '(3 1 2)) (sort lst <) lst
(apply max lst) (apply string-append '("a" "b"))
((if #t + -) 1 2) (and 1 2) (and) (or #f 3) (or) (not 5) (xor #t #f) (implies #f #t) (nand #t #t) (nor #f #f)
(local [(define z 5) (define (g n) (* n z))] (g 3))
(let () (define q 1) (define (h) (+ q 1)) (h))
(define ht (for/hash ([i 3]) (values i (* i i)))) (hash-ref ht 2)
(string? "x") (symbol? 'a) (procedure? car) (boolean? #f) (void? (void)) (eq? 'a 'a) (equal? '(1 (2)) '(1 (2))) (eqv? 1.0 1.0)

(define-syntax-rule (my-if c t e) (cond [c t] [else e])) (my-if #t 1 2)
(let/ec break (for ([i 10]) (when (= i 3) (break i))))
(do ([vec (make-vector 3)] [i 0 (+ i 1)]) ((= i 3) vec) (vector-set! vec i i))
(define (variadic a [b 2] #:c [c 3] . d) (list a b c d)) (variadic 1) (variadic 1 5 #:c 6 7 8)
(define f (λ args (length args))) (f 1 2 3)

#;(this is ignored) #| so is this |# 'visible
(string->symbol "with space") '|a b| 'CaseSensitive
(char->integer #\newline) #\space #\a #\λ #\tab "tab\there" "uni\u03BB" "q\"uote"
#t #true #f 'nil '() (list) #\x41 #e1.5 #x1F #b101 1e3 -5 +5 1/2
(exact->inexact 100) 1.0 100.0 1.5e3 12345.678
(vector 1 "a" 'b #\c) (list 1 "a" 'b #\c (list)) (cons 1 (cons 2 3)) (box 'x) (mcons 1 2)

