(define (f x)
  (match x
    [(or 1 2 3) 'small]
    [(and (? integer?) (? even? n)) (list 'even n)]
    [(? string? (app string-length 5)) 'five]
    [(? string? s) (string-upcase s)]
    [(not (? number?)) 'not-a-number]
    [_ 'odd]))
(for ([v '(2 10 11 "hello" "abc" sym)]) (displayln (f v)))
(define (g x)
  (match x
    [(? string? (app string->number (? number? n))) (* 2 n)]
    [(? string? s) s]
    [(list 'add a b) (+ a b)]
    [(list 'neg (? number? a)) (- a)]
    [(hash-table ('name n) ('age a)) (format "~a is ~a" n a)]
    [(box b) (list 'box b)]
    [#t 'true]
    [else 'other]))
(for ([v (list "42" "abc" '(add 1 2) '(neg 5) (hash 'name "Bob" 'age 5) (box 1) #t 3.5)])
  (displayln (g v)))
