(define (stats s)
  (for/fold ([letters 0] [digits 0] [other 0]) ([c s])
    (cond [(char-alphabetic? c) (values (add1 letters) digits other)]
          [(char-numeric? c) (values letters (add1 digits) other)]
          [else (values letters digits (add1 other))])))
(define-values (l d o) (stats "abc 123, x9!"))
(printf "~a letters, ~a digits, ~a other\n" l d o)
