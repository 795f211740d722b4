(define (rpn s)
  (for/fold ([st '()] #:result (first st)) ([tok (string-split s)])
    (match tok
      ["+" (cons (+ (second st) (first st)) (cddr st))]
      ["-" (cons (- (second st) (first st)) (cddr st))]
      ["*" (cons (* (second st) (first st)) (cddr st))]
      [(app string->number n) (cons n st)])))
(println (rpn "3 4 + 2 *"))
(println (rpn "10 2 8 * + 3 -"))
