#lang racket
(define words '("cold" "cord" "card" "ward" "warm" "word" "worm" "corm" "wold"))
(define (adjacent? a b)
  (= 1 (for/sum ([x a] [y b]) (if (char=? x y) 0 1))))
(define graph
  (for/hash ([w words])
    (values w (filter (curry adjacent? w) words))))
(define (shortest from to)
  (define q (list (list from)))
  (let loop ([q q] [seen (set from)])
    (match q
      ['() #f]
      [(cons (and path (cons here _)) more)
       (cond
         [(string=? here to) (reverse path)]
         [else
          (define nexts (for/list ([n (hash-ref graph here)] #:unless (set-member? seen n)) n))
          (loop (append more (map (curryr cons path) nexts))
                (for/fold ([s seen]) ([n nexts]) (set-add s n)))])])))
(shortest "cold" "warm")
(shortest "cold" "zzzz")
(for ([w (sort words string<?)])
  (printf "~a: ~a\n" w (string-join (sort (hash-ref graph w) string<?) ",")))
(define components
  (let loop ([left (list->set words)] [count 0])
    (if (set-empty? left)
        count
        (let flood ([todo (list (set-first left))] [seen (set)])
          (cond [(null? todo) (loop (set-subtract left seen) (add1 count))]
                [(set-member? seen (car todo)) (flood (cdr todo) seen)]
                [else (flood (append (hash-ref graph (car todo)) (cdr todo)) (set-add seen (car todo)))])))))
components
