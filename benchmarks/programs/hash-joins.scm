;; Orders joined with customers by keys that are made texts, and added up by city.
(define (key i) (string-append "customer-" (number->string i)))
(define cities '("Bern" "Oslo" "Rome" "Lima" "Cairo"))
(define customers
  (for/hash ([i 1000])
    (values (key i) (hash 'city (list-ref cities (modulo (* i 3) 5)) 'discount (modulo i 10)))))
(define orders (for/list ([i 8000]) (cons (key (modulo (* i 7919) 1250)) (+ 1 (modulo (* i 37) 500)))))
(define totals
  (for/fold ([totals (hash)]) ([order orders])
    (define customer (hash-ref customers (car order) #f))
    (if customer
        (hash-update totals (hash-ref customer 'city)
                     (lambda (sum) (+ sum (* (cdr order) (- 100 (hash-ref customer 'discount))))) 0)
        totals)))
(for/fold ([sum 0]) ([city cities]) (modulo (+ (* 31 sum) (hash-ref totals city)) 1000003))
