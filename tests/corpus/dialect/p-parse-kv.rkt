(define (parse-kv s) (for/hash ([pair (string-split s ";")]) (match (string-split pair "=") [(list k v) (values (string->symbol k) v)])))
(define h (parse-kv "host=localhost;port=8080;mode=fast"))
(printf "~a:~a ~a\n" (hash-ref h 'host) (hash-ref h 'port) (hash-ref h 'mode))
(println (+ 1 (string->number (hash-ref h 'port))))
