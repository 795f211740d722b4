#lang racket
(define maze
  '("#########"
    "#S..#...#"
    "#.#.#.#.#"
    "#.#...#.#"
    "#.#####.#"
    "#......E#"
    "#########"))
(define grid (for/vector ([row maze]) (list->vector (string->list row))))
(define (cell r c) (vector-ref (vector-ref grid r) c))
(define (locate ch)
  (for*/first ([r (vector-length grid)] [c (vector-length (vector-ref grid 0))] #:when (eqv? ch (cell r c))) (cons r c)))
(define start (locate #\S))
(define goal (locate #\E))
(define (neighbours p)
  (match-define (cons r c) p)
  (for/list ([d '((-1 . 0) (1 . 0) (0 . -1) (0 . 1))]
             #:do [(define nr (+ r (car d))) (define nc (+ c (cdr d)))]
             #:unless (char=? #\# (cell nr nc)))
    (cons nr nc)))
(define came (make-hash (list (cons start #f))))
(define path
  (let loop ([frontier (list start)])
    (cond
      [(null? frontier) #f]
      [(member goal frontier)
       (let back ([p goal] [acc '()]) (if p (back (hash-ref came p) (cons p acc)) acc))]
      [else
       (loop (for*/list ([p frontier] [n (neighbours p)] #:unless (hash-has-key? came n))
               (hash-set! came n p)
               n))])))
(length path)
(for ([p path] #:unless (or (equal? p start) (equal? p goal)))
  (vector-set! (vector-ref grid (car p)) (cdr p) #\o))
(for ([row grid]) (displayln (list->string (vector->list row))))
start
goal
(vector-map vector-length grid)
(vector-member 3 #(1 2 3))
(vector-append #(1) #(2 3))
(vector-take #(1 2 3 4) 2) (vector-drop #(1 2 3 4) 3) (vector-filter odd? #(1 2 3)) (vector->list (vector-map add1 #(1 2)))
(let ([v (vector 1 2 3)]) (vector-fill! v 0) v)
(let ([v (vector 5 2 9)]) (vector-sort! v <) v)
(for/vector ([x (in-vector #(1 2 3 4 5) 1 4)]) x)
(vector-copy #(1 2 3) 1)
(vector-split-at #(1 2 3) 1)
(make-vector 3 'x) (vector) (vector-immutable 1 2) (vector-empty? #()) (build-vector 3 -)
