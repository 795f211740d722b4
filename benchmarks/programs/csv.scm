;; A table of three thousand rows made as text, read again, and its amounts added up by region.
(define regions '#("north" "south" "east" "west"))
(define text
  (string-join
   (cons "id,region,amount,name"
         (for/list ([i 3000])
           (string-join (list (number->string i) (vector-ref regions (modulo (* i 7) 4)) (number->string (modulo (* i 37) 1009))
                              (string-append "name " (number->string i)))
                        ",")))
   "\n"))
(define totals (make-hash))
(for ([line (cdr (string-split text "\n"))])
  (match (string-split line ",")
    [(list id region amount name)
     (hash-update! totals region (lambda (sum) (+ sum (string->number amount) (string-length (string-trim name)))) 0)]))
(for/fold ([sum 0]) ([region (sort (hash-keys totals) string<?)] [weight '(1 2 3 4)])
  (+ sum (* weight (hash-ref totals region))))
