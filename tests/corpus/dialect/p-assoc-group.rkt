(define sales '((north 10) (south 5) (north 7) (east 1)))
(define totals (for/fold ([acc '()]) ([s sales]) (define k (first s)) (define old (assq k acc)) (if old (cons (cons k (+ (cdr old) (second s))) (remq old acc)) (cons (cons k (second s)) acc))))
(for ([p (sort totals symbol<? #:key car)]) (printf "~a=~a\n" (car p) (cdr p)))
