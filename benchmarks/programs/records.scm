;; Six thousand records made, chosen, changed, and sorted by two fields.
(struct employee (name team salary age) #:transparent)
(define staff
  (for/list ([i 6000])
    (employee (string-append "e" (number->string i)) (modulo (* i 31) 17) (+ 1000 (modulo (* i 7919) 5003)) (+ 20 (modulo (* i 13) 45)))))
(define raised
  (map (lambda (e) (if (< (employee-age e) 40) (struct-copy employee e [salary (+ 100 (employee-salary e))]) e)) staff))
(define ordered
  (sort raised
        (lambda (a b)
          (if (= (employee-team a) (employee-team b))
              (> (employee-salary a) (employee-salary b))
              (< (employee-team a) (employee-team b))))))
(for/fold ([sum 0]) ([e ordered] [i (in-naturals)])
  (modulo (+ (* sum 31) (employee-salary e) (string-length (employee-name e)) i) 1000003))
