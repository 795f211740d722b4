#lang racket
(define table '((1000 . "M") (900 . "CM") (500 . "D") (400 . "CD") (100 . "C") (90 . "XC") (50 . "L") (40 . "XL") (10 . "X") (9 . "IX") (5 . "V") (4 . "IV") (1 . "I")))
(define (->roman n)
  (unless (and (exact-integer? n) (< 0 n 4000)) (raise-argument-error '->roman "(integer-in 1 3999)" n))
  (let loop ([n n] [t table] [out ""])
    (cond [(zero? n) out]
          [(>= n (caar t)) (loop (- n (caar t)) t (string-append out (cdar t)))]
          [else (loop n (cdr t) out)])))
(define (roman-> s)
  (define vals (hash #\M 1000 #\D 500 #\C 100 #\L 50 #\X 10 #\V 5 #\I 1))
  (define ns (map (curry hash-ref vals) (string->list s)))
  (for/sum ([n ns] [next (append (cdr ns) '(0))])
    (if (< n next) (- n) n)))
(for ([n '(1 4 9 14 40 90 400 1994 2024 3999)])
  (printf "~a ~a ~a\n" (~a n #:width 5) (~a (->roman n) #:width 12) (roman-> (->roman n))))
(for/and ([n (in-range 1 4000)]) (= n (roman-> (->roman n))))
(with-handlers ([exn:fail:contract? (λ (e) (displayln (exn-message e)))]) (->roman 0))
(define (number->words n)
  (define ones '#("zero" "one" "two" "three" "four" "five" "six" "seven" "eight" "nine" "ten" "eleven" "twelve" "thirteen" "fourteen" "fifteen" "sixteen" "seventeen" "eighteen" "nineteen"))
  (define tens '#("" "" "twenty" "thirty" "forty" "fifty" "sixty" "seventy" "eighty" "ninety"))
  (cond [(< n 20) (vector-ref ones n)]
        [(< n 100) (let-values ([(t o) (quotient/remainder n 10)])
                     (string-append (vector-ref tens t) (if (zero? o) "" (format "-~a" (vector-ref ones o)))))]
        [(< n 1000) (let-values ([(h r) (quotient/remainder n 100)])
                      (~a (vector-ref ones h) " hundred" (if (zero? r) "" (~a " and " (number->words r)))))]
        [else (let-values ([(t r) (quotient/remainder n 1000)])
                (~a (number->words t) " thousand" (if (zero? r) "" (~a " " (number->words r)))))]))
(map number->words '(7 13 42 100 999 12345))
