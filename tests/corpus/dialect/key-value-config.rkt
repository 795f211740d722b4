(define config "# settings\nname = demo\nsize=10\n\nverbose = true\nlist = a, b, c\n")
(define (parse-value v)
  (cond [(string->number v) => values]
        [(member v '("true" "false")) (equal? v "true")]
        [(string-contains? v ",") (map string-trim (string-split v ","))]
        [else v]))
(define settings
  (for*/list ([line (string-split config "\n")]
              [trimmed (in-value (string-trim line))]
              #:unless (or (string=? trimmed "") (string-prefix? trimmed "#")))
    (match-define (list k v) (map string-trim (string-split trimmed "=" #:trim? #t)))
    (cons (string->symbol k) (parse-value v))))
(for ([s settings]) (println s))
