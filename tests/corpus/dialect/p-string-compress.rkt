(define (compress s)
  (define groups (let loop ([cs (string->list s)] [acc '()])
    (cond [(null? cs) (reverse acc)]
          [(and (pair? acc) (char=? (caar acc) (car cs))) (loop (cdr cs) (cons (cons (caar acc) (add1 (cdar acc))) (cdr acc)))]
          [else (loop (cdr cs) (cons (cons (car cs) 1) acc))])))
  (apply string-append (map (lambda (g) (format "~a~a" (car g) (cdr g))) groups)))
(println (compress "aaabccd"))
(println (compress ""))
