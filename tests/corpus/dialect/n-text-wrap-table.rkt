#lang racket
(define (wrap text width)
  (let loop ([ws (string-split text)] [line ""] [lines '()])
    (cond [(null? ws) (reverse (if (string=? line "") lines (cons line lines)))]
          [(string=? line "") (loop (cdr ws) (car ws) lines)]
          [(<= (+ (string-length line) 1 (string-length (car ws))) width) (loop (cdr ws) (string-append line " " (car ws)) lines)]
          [else (loop ws "" (cons line lines))])))
(for-each displayln (wrap "The quick brown fox jumps over the lazy dog and runs away" 20))
(define rows '(("Name" "Qty" "Price") ("Apple" "3" "1.5") ("Watermelon" "12" "30.25")))
(define widths (apply map (λ col (apply max (map string-length col))) rows))
widths
(for ([r rows])
  (displayln (string-join (for/list ([c r] [w widths] [i (in-naturals)]) (~a c #:width w #:align (if (zero? i) 'left 'right))) " | ")))
(displayln (string-join (map (λ (w) (make-string w #\-)) widths) "-+-"))
(define (justify s n) (~a s #:min-width n #:align 'center #:pad-string "*"))
(justify "hi" 6)
(~a "left" #:width 8 #:right-pad-string ".")
(define (bar n) (~a (make-string n #\█) " " n))
(for ([n '(3 1)]) (displayln (bar n)))
(string-append* (add-between '("a" "b" "c") ", " #:before-last " and "))
(define csv (map (λ (l) (string-split l "," #:trim? #f)) '("a,b,,d" "1,2,3,")))
csv
(string-split "a b  c" " ") (string-split "a b  c" " " #:repeat? #t)
(list->string (map char-downcase (string->list "ABC")))
(string-normalize-spaces " a   b ")
(let ([words '("one" "three" "five")]) (argmax string-length words))
(char-upcase #\ß) (string-upcase "straße")
(build-string 5 (λ (i) (integer->char (+ i 97))))
