;; The words of a text of 200,000 characters counted, the twenty most frequent of them.
(define words '#("alpha" "Beta" "gamma" "Delta" "epsilon" "zeta" "Eta" "theta" "iota" "Kappa"))
(define text
  (string-join
   (let loop ([i 0] [x 42] [acc '()])
     (if (= i 25000) acc
         (loop (+ i 1) (modulo (* x 16807) 2147483647)
               (cons (string-append (vector-ref words (modulo x 10)) (if (zero? (modulo x 3)) "" (number->string (modulo x 100)))) acc))))
   " "))
(define counts (make-hash))
(for ([word (string-split (string-downcase text))])
  (hash-update! counts word add1 0))
(define ranked
  (sort (hash->list counts)
        (lambda (a b) (or (> (cdr a) (cdr b)) (and (= (cdr a) (cdr b)) (string<? (car a) (car b)))))))
(for/fold ([sum (hash-count counts)]) ([entry (take ranked 20)])
  (modulo (+ (* 31 sum) (cdr entry) (string-length (car entry))) 1000003))
