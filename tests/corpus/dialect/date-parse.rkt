(define (parse-date s)
  (match (regexp-match #px"^(\\d{4})-(\\d{2})-(\\d{2})$" s)
    [(list _ y m d) (map string->number (list y m d))]
    [#f #f]))
(define months '#(jan feb mar apr may jun jul aug sep oct nov dec))
(for ([s '("2024-03-15" "bad" "1999-12-31")])
  (match (parse-date s)
    [(list y m d) (printf "~a ~a ~a\n" d (vector-ref months (- m 1)) y)]
    [#f (printf "~s is no date\n" s)]))
(define (leap? y) (or (and (zero? (modulo y 4)) (not (zero? (modulo y 100)))) (zero? (modulo y 400))))
(println (filter leap? '(1900 2000 2023 2024)))
