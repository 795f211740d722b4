(define (tokenize s)
  (let loop ([chars (string->list s)] [cur '()] [toks '()])
    (define (flush) (if (null? cur) toks (cons (list->string (reverse cur)) toks)))
    (cond [(null? chars) (reverse (flush))]
          [(char-whitespace? (car chars)) (loop (cdr chars) '() (flush))]
          [(memv (car chars) '(#\( #\) #\+ #\* #\-)) (loop (cdr chars) '() (cons (string (car chars)) (flush)))]
          [else (loop (cdr chars) (cons (car chars) cur) toks)])))
(println (tokenize "(foo + 12)*bar"))
(println (regexp-match* #px"\\d+|[-+*/()]" "3 + (42*7)"))
