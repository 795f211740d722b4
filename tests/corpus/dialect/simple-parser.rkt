(define (parse tokens)
  (define (expr ts)
    (let-values ([(l rest) (term ts)])
      (let loop ([l l] [ts rest])
        (match ts
          [(cons '+ more) (let-values ([(r rest) (term more)]) (loop (list '+ l r) rest))]
          [(cons '- more) (let-values ([(r rest) (term more)]) (loop (list '- l r) rest))]
          [_ (values l ts)]))))
  (define (term ts)
    (let-values ([(l rest) (factor ts)])
      (let loop ([l l] [ts rest])
        (match ts
          [(cons '* more) (let-values ([(r rest) (factor more)]) (loop (list '* l r) rest))]
          [_ (values l ts)]))))
  (define (factor ts)
    (match ts
      [(cons (? number? n) rest) (values n rest)]
      [(list* 'lp more) (let-values ([(e rest) (expr more)]) (match rest [(cons 'rp r) (values e r)] [_ (error 'parse "expected )")]))]
      [_ (error 'parse "unexpected ~a" ts)]))
  (let-values ([(e rest) (expr tokens)])
    (unless (null? rest) (error 'parse "trailing ~a" rest))
    e))
(println (parse '(1 + 2 * 3)))
(println (parse '(lp 1 + 2 rp * 3 - 4)))
(for ([bad '((1 +) (lp 1) (1 2))])
  (with-handlers ([exn:fail? (lambda (e) (displayln (exn-message e)))]) (parse bad)))
