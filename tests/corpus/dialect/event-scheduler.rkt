(struct event (time name) #:transparent)
(define (insert-event evs e)
  (cond [(null? evs) (list e)]
        [(< (event-time e) (event-time (car evs))) (cons e evs)]
        [else (cons (car evs) (insert-event (cdr evs) e))]))
(define q (for/fold ([q '()]) ([t '(5 1 3)] [n '(c a b)]) (insert-event q (event t n))))
(for ([e q]) (printf "~a@~a " (event-name e) (event-time e)))
(newline)
(println (first q))
(println (sort (map event-name q) symbol<?))
