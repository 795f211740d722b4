;; Pattern matching: expressions differentiated, simplified and counted.
(define (derive e)
  (match e
    [(? number?) 0]
    ['x 1]
    [(list '+ a b) (list '+ (derive a) (derive b))]
    [(list '* a b) (list '+ (list '* (derive a) b) (list '* a (derive b)))]))
(define (simplify e)
  (match e
    [(list '+ a b)
     (match (list (simplify a) (simplify b))
       [(list 0 b) b]
       [(list a 0) a]
       [(list (? number? a) (? number? b)) (+ a b)]
       [(list a b) (list '+ a b)])]
    [(list '* a b)
     (match (list (simplify a) (simplify b))
       [(list 0 _) 0]
       [(list _ 0) 0]
       [(list 1 b) b]
       [(list a 1) a]
       [(list a b) (list '* a b)])]
    [_ e]))
(define (size e) (match e [(list _ a b) (+ 1 (size a) (size b))] [_ 1]))
(define (polynomial n) (if (= n 0) 1 (list '+ n (list '* 'x (polynomial (- n 1))))))
(for/fold ([sum 0]) ([n (in-range 1 61)])
  (+ sum (size (simplify (derive (polynomial (modulo n 24)))))))
