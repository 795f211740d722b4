;; Sixty thousand short texts, each of four parts, joined into one.
(define (build n)
  (let loop ((i 0) (parts '()))
    (if (= i n) (string-length (string-join (reverse parts) ","))
        (loop (+ i 1) (cons (string-append "item-" (number->string i) ":" (string-upcase "abc")) parts)))))
(build 60000)
