;; The eight queens, by lists and a search that goes back.
(define (ok? row dist placed)
  (or (null? placed)
      (and (not (= (car placed) (+ row dist))) (not (= (car placed) (- row dist))) (not (= (car placed) row))
           (ok? row (+ dist 1) (cdr placed)))))
(define (queens n)
  (let place ((k n) (placed '()))
    (if (= k 0) 1
        (let loop ((row 1) (total 0))
          (if (> row n) total
              (loop (+ row 1) (if (ok? row 1 placed) (+ total (place (- k 1) (cons row placed))) total)))))))
(queens 8)
