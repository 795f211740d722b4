#lang racket
(struct event (time kind customer) #:transparent)
(define (run-sim arrivals service)
  (let loop ([events (sort (for/list ([a arrivals] [i (in-naturals 1)]) (event a 'arrive i)) < #:key event-time)]
             [queue '()] [busy-until 0] [log '()])
    (match events
      ['() (reverse log)]
      [(cons (event t 'arrive c) rest)
       (define start (max t busy-until))
       (define end (+ start service))
       (loop (sort (cons (event end 'leave c) rest) (λ (a b) (or (< (event-time a) (event-time b)) (and (= (event-time a) (event-time b)) (< (event-customer a) (event-customer b))))))
             queue end (cons (list t 'arrive c (- start t)) log))]
      [(cons (event t 'leave c) rest) (loop rest queue busy-until (cons (list t 'leave c) log))])))
(define result (run-sim '(0 1 2 10) 3))
(for-each displayln result)
(define waits (filter-map (λ (e) (and (eq? (second e) 'arrive) (fourth e))) result))
(printf "average wait: ~a\n" (/ (apply + waits) (length waits)))
(random-seed 42)
(define r (for/list ([i 5]) (random 10)))
(andmap (λ (x) (and (<= 0 x) (< x 10))) r)
(define (lcg seed) (λ () (set! seed (modulo (+ (* 1103515245 seed) 12345) 2147483648)) seed))
(define rng (lcg 1))
(for/list ([i 3]) (rng))
