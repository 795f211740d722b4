(define (shift c n) (if (char-alphabetic? c) (let ([base (if (char-upper-case? c) 65 97)]) (integer->char (+ base (modulo (+ n (- (char->integer c) base)) 26)))) c))
(define (encode s n) (list->string (map (lambda (c) (shift c n)) (string->list s))))
(displayln (encode "Attack at Dawn!" 13))
(displayln (encode (encode "Attack at Dawn!" 13) 13))
