#lang racket
(define lru%
  (class object%
    (super-new)
    (init-field capacity)
    (define table (make-hash))
    (define order '())
    (define/private (touch! k) (set! order (cons k (remove k order))))
    (define/public (get k [default #f])
      (cond [(hash-has-key? table k) (touch! k) (hash-ref table k)]
            [else default]))
    (define/public (put! k v)
      (hash-set! table k v)
      (touch! k)
      (when (> (hash-count table) capacity)
        (define victim (last order))
        (hash-remove! table victim)
        (set! order (remove victim order))))
    (define/public (keys) order)))
(define c (new lru% [capacity 2]))
(send c put! 'a 1)
(send c put! 'b 2)
(send c get 'a)
(send c put! 'c 3)
(send c get 'b 'gone)
(send c keys)
(define logged%
  (class lru%
    (super-new)
    (define hits 0)
    (define/override (get k [default #f])
      (define r (super get k default))
      (when r (set! hits (add1 hits)))
      r)
    (define/public (stats) (format "~a hits" hits))))
(define l (new logged% [capacity 10]))
(send l put! "x" 1)
(for ([k '("x" "y" "x")]) (send l get k))
(send l stats)
(with-handlers ([exn:fail? (lambda (e) (displayln "missing init argument"))]) (new logged%))
l
lru%
