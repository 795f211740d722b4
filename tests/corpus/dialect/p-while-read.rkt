(define in (open-input-string "10\n20\n\n30"))
(define nums (let loop ([acc '()]) (define l (read-line in)) (cond [(eof-object? l) (reverse acc)] [(string->number l) => (lambda (n) (loop (cons n acc)))] [else (loop acc)])))
(println nums)
(println (apply + nums))
