;; Leaving a loop from an inner call: a continuation here, an exception in Python and JavaScript.
(define (find-first ok? list)
  (call/cc (lambda (return) (for-each (lambda (x) (when (ok? x) (return x))) list) #f)))
(define items (iota 10))
(let loop ((i 0) (sum 0))
  (if (= i 30000) sum (loop (+ i 1) (+ sum (find-first (lambda (x) (> x 6)) items)))))
