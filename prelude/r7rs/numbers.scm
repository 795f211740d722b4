;; numbers.scm — numeric procedures that are simplest in Scheme.

(define (boolean=? a b . rest)
  (unless (boolean? a) (%err-type 'boolean=? 0 "boolean" a))
  (unless (boolean? b) (%err-type 'boolean=? 1 "boolean" b))
  (and (eq? a b) (or (null? rest) (apply boolean=? b rest))))
