(println (char-upcase #\a))
(println (char->integer #\A))
(println (integer->char 97))
(println (char-alphabetic? #\a))
(println (char-numeric? #\5))
(println (char-whitespace? #\space))
(println (list #\a #\space #\newline #\tab #\nul #\λ))
(displayln (list #\a #\space))
(println (char<? #\a #\b))
(println (string #\a #\b))
(println (map char->integer (string->list "AZ")))
(define (caesar s n)
  (list->string
   (for/list ([c s])
     (cond [(char-lower-case? c) (integer->char (+ 97 (modulo (+ n (- (char->integer c) 97)) 26)))]
           [(char-upper-case? c) (integer->char (+ 65 (modulo (+ n (- (char->integer c) 65)) 26)))]
           [else c]))))
(displayln (caesar "Hello, World!" 3))
(displayln (caesar (caesar "Hello, World!" 3) -3))
