(define (make-account balance)
  (define history '())
  (define (record! x) (set! history (cons x history)))
  (lambda (msg . args)
    (case msg
      [(deposit) (set! balance (+ balance (car args))) (record! (list 'deposit (car args))) balance]
      [(withdraw) (if (> (car args) balance) (error 'withdraw "insufficient: ~a < ~a" balance (car args))
                      (begin (set! balance (- balance (car args))) (record! (cons 'withdraw args)) balance))]
      [(history) (reverse history)]
      [else (error 'account "unknown message ~v" msg)])))
(define acc (make-account 100))
(println (acc 'deposit 50))
(println (acc 'withdraw 30))
(println (acc 'history))
(with-handlers ([exn:fail? (lambda (e) (displayln (exn-message e)))]) (acc 'withdraw 1000))
(with-handlers ([exn:fail? (lambda (e) (displayln (exn-message e)))]) (acc 'close))
