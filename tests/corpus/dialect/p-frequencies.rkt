(define (frequencies lst) (for/fold ([h (hash)]) ([x lst]) (hash-update h x add1 0)))
(define f (frequencies '(a b a c b a)))
(for ([k '(a b c)]) (printf "~a ~a\n" k (hash-ref f k)))
(println (car (argmax cdr (hash->list f))))
