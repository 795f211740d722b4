(define (quicksort lst)
  (match lst
    ['() '()]
    [(cons p rest)
     (define-values (lo hi) (partition (lambda (x) (< x p)) rest))
     (append (quicksort lo) (list p) (quicksort hi))]))
(println (quicksort '(3 1 4 1 5 9 2 6 5 3 5)))
(define (merge a b)
  (cond [(null? a) b] [(null? b) a]
        [(<= (car a) (car b)) (cons (car a) (merge (cdr a) b))]
        [else (cons (car b) (merge a (cdr b)))]))
(define (msort l)
  (if (or (null? l) (null? (cdr l))) l
      (let-values ([(a b) (split-at l (quotient (length l) 2))])
        (merge (msort a) (msort b)))))
(println (msort '(8 3 7 1 9 2)))
