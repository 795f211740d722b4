(define-syntax-class binding
  (pattern (name:id value:expr)))
