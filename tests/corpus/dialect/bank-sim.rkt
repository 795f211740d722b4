(struct tx (id kind amount) #:transparent)
(define txs (list (tx 1 'deposit 100) (tx 2 'withdraw 30) (tx 3 'deposit 50) (tx 4 'withdraw 500)))
(define (apply-tx bal t)
  (match t
    [(tx _ 'deposit a) (+ bal a)]
    [(tx id 'withdraw a) (if (> a bal) (begin (printf "tx ~a: insufficient funds\n" id) bal) (- bal a))]))
(define final (foldl (lambda (t b) (apply-tx b t)) 0 txs))
(printf "final: ~a\n" final)
(printf "~v\n" (first txs))
(displayln (filter (lambda (t) (eq? (tx-kind t) 'deposit)) txs))
