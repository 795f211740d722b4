(define h (hash 'a 1 'b 2 'c 1))
(define inv (for/fold ([acc (hash)]) ([(k v) h]) (hash-update acc v (lambda (l) (cons k l)) '())))
(for ([k (sort (hash-keys inv) <)]) (printf "~a: ~a\n" k (sort (hash-ref inv k) symbol<?)))
