(define (fibs n) (let loop ([a 0] [b 1] [n n] [acc '()]) (if (zero? n) (reverse acc) (loop b (+ a b) (sub1 n) (cons a acc)))))
(println (fibs 15))
(println (for/fold ([a 0] [b 1] #:result a) ([_ 90]) (values b (+ a b))))
