#lang racket
(define puzzle
  '("53..7...." "6..195..." ".98....6." "8...6...3" "4..8.3..1" "7...2...6" ".6....28." "...419..5" "....8..79"))
(define grid
  (for*/vector ([row puzzle] [c row]) (if (char=? c #\.) 0 (- (char->integer c) 48))))
(define (peers i)
  (define-values (r c) (quotient/remainder i 9))
  (define br (* 3 (quotient r 3)))
  (define bc (* 3 (quotient c 3)))
  (remove-duplicates
   (append (for/list ([k 9]) (+ (* 9 r) k))
           (for/list ([k 9]) (+ (* 9 k) c))
           (for*/list ([a 3] [b 3]) (+ (* 9 (+ br a)) bc b)))))
(define peer-table (build-vector 81 peers))
(define (candidates g i)
  (define used (for/set ([p (vector-ref peer-table i)]) (vector-ref g p)))
  (for/list ([d (in-range 1 10)] #:unless (set-member? used d)) d))
(define (solve g)
  (define empties (for/list ([v g] [i (in-naturals)] #:when (zero? v)) i))
  (cond
    [(null? empties) g]
    [else
     (define best (argmin (lambda (i) (length (candidates g i))) empties))
     (for/or ([d (candidates g best)])
       (define ng (vector-copy g))
       (vector-set! ng best d)
       (solve ng))]))
(define solved (solve grid))
(for ([r 9])
  (displayln (string-join (for/list ([c 9]) (number->string (vector-ref solved (+ (* 9 r) c)))) " ")))
(for/and ([r 9]) (= 45 (for/sum ([c 9]) (vector-ref solved (+ (* r 9) c)))))
(vector-count zero? grid)
(vector-argmin values #(3 1 2))
