(define (run prog)
  (for/fold ([stack '()] #:result (car stack)) ([ins prog])
    (match ins
      [(list 'push n) (cons n stack)]
      ['add (match stack [(list* a b rest) (cons (+ b a) rest)])]
      ['sub (match stack [(list* a b rest) (cons (- b a) rest)])]
      ['mul (match stack [(list* a b rest) (cons (* b a) rest)])]
      ['dup (cons (car stack) stack)])))
(println (run '((push 2) (push 3) add (push 4) mul)))
(println (run '((push 5) dup mul)))
