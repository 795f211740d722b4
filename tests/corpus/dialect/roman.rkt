(define (roman n)
  (define table '((1000 . "M") (900 . "CM") (500 . "D") (400 . "CD") (100 . "C") (90 . "XC") (50 . "L") (40 . "XL") (10 . "X") (9 . "IX") (5 . "V") (4 . "IV") (1 . "I")))
  (let loop ([n n] [t table] [acc ""])
    (cond [(zero? n) acc]
          [(>= n (caar t)) (loop (- n (caar t)) t (string-append acc (cdar t)))]
          [else (loop n (cdr t) acc)])))
(for ([n '(1 4 9 14 40 90 400 1994 2024)]) (printf "~a = ~a\n" n (roman n)))
