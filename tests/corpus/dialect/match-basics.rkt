(define (describe x)
  (match x
    [0 "zero"]
    [(? number? n) #:when (negative? n) (format "negative ~a" n)]
    [(? number?) "number"]
    ["hello" "greeting"]
    [(list) "empty list"]
    [(list a) (format "one: ~a" a)]
    [(list a b) (format "two: ~a ~a" a b)]
    [(cons h t) (format "head ~a tail ~a" h t)]
    [(vector a b) (format "vec ~a ~a" a b)]
    ['sym "the symbol"]
    [_ "other"]))
(for ([x (list 0 -5 7 "hello" '() '(1) '(1 2) '(1 2 3) (vector 1 2) 'sym #t)])
  (displayln (describe x)))
