;; Counters and compositions.
(define (make-counter) (let ((n 0)) (lambda () (set! n (+ n 1)) n)))
(define (compose2 f g) (lambda (x) (f (g x))))
(define (run n)
  (let ((c (make-counter)) (f (compose2 (lambda (x) (+ x 1)) (lambda (x) (* x 2)))))
    (let loop ((i 0) (sum 0))
      (if (= i n) (+ sum (c)) (begin (c) (loop (+ i 1) (+ sum (f i))))))))
(run 300000)
