(define (balanced? s)
  (let loop ([cs (string->list s)] [st '()])
    (cond [(null? cs) (null? st)]
          [(memv (car cs) '(#\( #\[ #\{)) (loop (cdr cs) (cons (car cs) st))]
          [(assv (car cs) '((#\) . #\() (#\] . #\[) (#\} . #\{))) => (lambda (p) (and (pair? st) (char=? (car st) (cdr p)) (loop (cdr cs) (cdr st))))]
          [else (loop (cdr cs) st)])))
(for ([s '("(a[b]{c})" "(]" "((" "")]) (printf "~a ~a\n" (~s s) (balanced? s)))
