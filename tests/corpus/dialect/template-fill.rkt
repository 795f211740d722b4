(define (fill template vars)
  (regexp-replace* #px"\\{(\\w+)\\}" template
    (lambda (all name) (~a (hash-ref vars (string->symbol name) (lambda () all))))))
(displayln (fill "Dear {name}, you owe {amount} by {date}." (hash 'name "Ann" 'amount 42)))
(displayln (regexp-replace* #rx"{([a-z]+)}" "x{abc}y" "<\\1>"))
