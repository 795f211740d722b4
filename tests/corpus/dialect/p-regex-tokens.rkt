(define (tokens s) (map (lambda (t) (cond [(string->number t) => values] [else (string->symbol t)])) (regexp-match* #px"[a-z]+|[0-9.]+|[-+*/=()]" s)))
(println (tokens "x = 3 + foo*(2.5 - y)"))
(println (regexp-match #px"^(\\w+)\\s*=\\s*(.+)$" "total = a + b"))
(println (regexp-replace* #px"(\\d+)" "a1b22" (lambda (all d) (number->string (add1 (string->number d))))))
