;; racket/math: what the core has not got.

(define euler.0 euler)
