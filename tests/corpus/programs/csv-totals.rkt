#lang racket
;; Parse a small CSV with quoted fields and summarise it by region.
(define csv-text #<<CSV
region,product,units,price
north,"Widget, large",10,2.50
south,Gadget,3,19.99
north,Gadget,7,19.99
east,"The ""Best"" Thing",1,100
south,"Widget, large",25,2.50
CSV
  )

(define (parse-csv-line line)
  (let loop ([chars (string->list line)] [field '()] [fields '()] [quoted? #f])
    (define (finish) (reverse (cons (list->string (reverse field)) fields)))
    (match chars
      ['() (finish)]
      [(list #\" #\" rest ...) #:when quoted? (loop rest (cons #\" field) fields #t)]
      [(cons #\" rest) (loop rest field fields (not quoted?))]
      [(cons #\, rest) #:when (not quoted?) (loop rest '() (cons (list->string (reverse field)) fields) #f)]
      [(cons c rest) (loop rest (cons c field) fields quoted?)])))

(define rows (map parse-csv-line (string-split csv-text "\n")))
(define header (map string->symbol (first rows)))
(define records
  (for/list ([row (in-list (rest rows))])
    (for/hash ([key header] [value row])
      (values key value))))

(define (revenue r)
  (* (string->number (hash-ref r 'units)) (string->number (hash-ref r 'price))))

(define by-region
  (for/fold ([acc (hash)]) ([r records])
    (hash-update acc (hash-ref r 'region) (lambda (old) (+ old (revenue r))) 0)))

(for ([k (sort (hash-keys by-region) string<?)])
  (printf "~a ~a\n" (~a k #:width 8) (~r (hash-ref by-region k) #:precision '(= 2) #:min-width 10)))
(printf "products: ~s\n" (remove-duplicates (map (lambda (r) (hash-ref r 'product)) records)))
(printf "best: ~a\n" (hash-ref (argmax revenue records) 'product))
