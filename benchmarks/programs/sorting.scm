;; Forty thousand numbers, by the built-in order and by a procedure.
(define (numbers n)
  (let loop ((i 0) (x 12345) (acc '()))
    (if (= i n) acc (loop (+ i 1) (remainder (+ (* x 1103515245) 12345) 2147483648) (cons x acc)))))
(define data (numbers 40000))
(+ (car (sort data <)) (car (sort data (lambda (a b) (< (remainder a 1000) (remainder b 1000))))))
