#lang racket
;; Parse CSV with quoted fields and summarize by category
(define csv-text #<<EOF
id,name,category,price,qty
1,"Widget, large",tools,9.99,10
2,Gadget,toys,24.50,3
3,"Say ""hi""",toys,1.25,100
4,Hammer,tools,15.00,2
EOF
  )
(define (parse-csv-line line)
  (let loop ([chars (string->list line)] [field '()] [fields '()] [in-quotes? #f])
    (match chars
      ['() (reverse (cons (list->string (reverse field)) fields))]
      [(list* #\" #\" rest) #:when in-quotes? (loop rest (cons #\" field) fields #t)]
      [(cons #\" rest) (loop rest field fields (not in-quotes?))]
      [(cons #\, rest) #:when (not in-quotes?) (loop rest '() (cons (list->string (reverse field)) fields) #f)]
      [(cons c rest) (loop rest (cons c field) fields in-quotes?)])))
(define rows (map parse-csv-line (string-split csv-text "\n")))
(define header (map string->symbol (first rows)))
(define records (for/list ([r (rest rows)]) (for/hash ([h header] [v r]) (values h v))))
(define (total r) (* (string->number (hash-ref r 'price)) (string->number (hash-ref r 'qty))))
(define by-cat
  (for/fold ([acc (hash)]) ([r records])
    (hash-update acc (hash-ref r 'category) (curry + (total r)) 0)))
(for ([(cat sum) (in-hash by-cat #t)])
  (printf "~a: ~a\n" (~a cat #:width 8) (~r sum #:precision '(= 2) #:min-width 10)))
(map (λ (r) (hash-ref r 'name)) records)
(apply max (map total records))
