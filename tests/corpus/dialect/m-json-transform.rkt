#lang racket
(require json)
(define data (string->jsexpr "{\"users\": [{\"name\": \"Ann\", \"age\": 30, \"tags\": [\"a\", \"b\"]}, {\"name\": \"Bob\", \"age\": 25, \"tags\": []}], \"total\": 2, \"ok\": true, \"none\": null}"))
(define users (hash-ref data 'users))
(for ([u users])
  (printf "~a (~a): ~a\n" (hash-ref u 'name) (hash-ref u 'age) (string-join (hash-ref u 'tags) "/")))
(hash-ref data 'ok)
(eq? (hash-ref data 'none) (json-null))
(define older (for/list ([u (in-list users)]) (hash-update u 'age add1)))
(map (λ (u) (hash-ref u 'age)) older)
(jsexpr->string (hasheq 'n 1.5))
(jsexpr->string (list 1 "two" #t (json-null) (hasheq 'k (list 1 2))))
(write-json (list 1 2 3))
(newline)
(define (flatten-json j [prefix ""])
  (cond
    [(hash? j) (append* (for/list ([k (sort (hash-keys j) symbol<?)]) (flatten-json (hash-ref j k) (string-append prefix "." (symbol->string k)))))]
    [(list? j) (append* (for/list ([x j] [i (in-naturals)]) (flatten-json x (format "~a[~a]" prefix i))))]
    [else (list (cons prefix j))]))
(for ([p (flatten-json data)]) (printf "~a = ~v\n" (car p) (cdr p)))
(jsexpr? '(1 2)) (jsexpr? 'a)
