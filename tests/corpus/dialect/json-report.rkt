(define data (string->jsexpr #<<J
{"title": "Report", "items": [{"name": "a", "price": 2.5, "qty": 2}, {"name": "b", "price": 10, "qty": 1}], "meta": {"ok": true, "tags": ["x", "y"]}}
J
))
(printf "~a\n" (hash-ref data 'title))
(define total
  (for/fold ([t 0]) ([i (hash-ref data 'items)])
    (define line (* (hash-ref i 'price) (hash-ref i 'qty)))
    (printf "  ~a: ~a\n" (hash-ref i 'name) (real->decimal-string line 2))
    (+ t line)))
(printf "total ~a\n" total)
(println (hash-ref (hash-ref data 'meta) 'tags))
(println (hash-has-key? data 'nothing))
(println (jsexpr->string (hash 'total total)))
(println (jsexpr->string '(1 "a" #f #t 2.0 (3))))
(println (string->jsexpr "[1.0, -2, 3e2, \"\\u0041\"]"))
(println (string->jsexpr "  {}  "))
(for ([bad '("{" "[1,]" "nul" "{\"a\" 1}")])
  (println (with-handlers ([exn:fail? (lambda (e) 'bad)]) (string->jsexpr bad))))
