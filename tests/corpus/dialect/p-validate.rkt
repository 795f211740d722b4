(define (validate-age x)
  (cond [(not (number? x)) (raise-argument-error 'validate-age "number?" x)]
        [(negative? x) (error 'validate-age "negative: ~a" x)]
        [else 'ok]))
(for ([x (list 5 -1 "old")])
  (displayln (with-handlers ([exn:fail:contract? (lambda (e) "contract")] [exn:fail? exn-message]) (validate-age x))))
