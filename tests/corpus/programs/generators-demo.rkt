#lang racket
(require racket/generator)
(define (tree-walk t)
  (generator ()
    (let walk ([t t])
      (match t
        ['() (void)]
        [(list l v r) (walk l) (yield v) (walk r)]))))
(define tree '(((() 1 ()) 2 (() 3 ())) 4 ((() 5 ()) 6 ())))
(define g (tree-walk tree))
(g) (g) (g)
(generator-state g)
(for/list ([v (in-producer g void?)]) v)
(generator-state g)
(define fibs
  (in-generator
   (let loop ([a 0] [b 1])
     (yield a)
     (loop b (+ a b)))))
(for/list ([f fibs] [_ 12]) f)
(define (batch lst n)
  (in-generator
   (let loop ([l lst])
     (unless (null? l)
       (define k (min n (length l)))
       (yield (take l k))
       (loop (drop l k))))))
(for ([b (batch (range 10) 4)] [i (in-naturals)])
  (printf "batch ~a: ~a\n" i b))
(define pairs (generator () (for* ([x '(1 2)] [y '(a b)]) (yield x y)) 'done))
(call-with-values pairs list)
(let-values ([(n s) (pairs)]) (list s n))
(sequence->list (sequence-map add1 (in-generator (yield 1) (yield 2))))
