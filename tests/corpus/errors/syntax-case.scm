(define-syntax swap!
  (lambda (stx)
    (syntax-case stx ()
      [(_ a b) #'(let ([t a]) (set! a b) (set! b t))])))
