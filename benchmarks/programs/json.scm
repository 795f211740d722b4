;; Two thousand records written as JSON, read again, and added up.
(define (record i)
  (hash "id" i "name" (string-append "customer " (number->string i)) "tags" (list "a" "b" (number->string (modulo i 7)))
        "paid" (even? i) "amount" (* i 37) "note" "line one\nline \"two\""))
(define text (jsexpr->string (hash "items" (map record (iota 2000)))))
(define items (hash-ref (string->jsexpr text) "items"))
(for/fold ([sum 0]) ([item items])
  (+ sum (hash-ref item "id") (length (hash-ref item "tags")) (string-length (hash-ref item "name"))
     (string-length (hash-ref item "note")) (if (hash-ref item "paid") (hash-ref item "amount") 0)))
