#lang racket
(define lines '((0 1 2) (3 4 5) (6 7 8) (0 3 6) (1 4 7) (2 5 8) (0 4 8) (2 4 6)))
(define (winner b)
  (for/or ([l lines])
    (match (map (curry vector-ref b) l)
      [(list p p p) #:when (not (eq? p '_)) p]
      [_ #f])))
(define (moves b) (for/list ([c b] [i (in-naturals)] #:when (eq? c '_)) i))
(define (place b i p) (let ([nb (vector-copy b)]) (vector-set! nb i p) nb))
(define (other p) (if (eq? p 'X) 'O 'X))
(define cache (make-hash))
(define (score b p)
  (hash-ref! cache (cons b p)
             (lambda ()
               (cond
                 [(winner b) => (lambda (w) (if (eq? w p) 1 -1))]
                 [(null? (moves b)) 0]
                 [else (for/fold ([best -inf.0] #:result (inexact->exact best)) ([m (moves b)])
                         (max best (- (score (place b m p) (other p)))))]))))
(define (best-move b p)
  (argmax (lambda (m) (- (score (place b m p) (other p)))) (moves b)))
(define (show b)
  (for ([r (in-range 0 9 3)])
    (displayln (string-join (for/list ([i 3]) (~a (vector-ref b (+ r i)))) "|"))))
(define start (vector 'X 'O 'X '_ 'O '_ '_ '_ '_))
(show start)
(best-move start 'X)
(score start 'X)
(let loop ([b start] [p 'X] [n 0])
  (cond [(winner b) => (lambda (w) (printf "~a wins after ~a\n" w n) (show b))]
        [(null? (moves b)) (printf "draw after ~a\n" n) (show b)]
        [else (loop (place b (best-move b p) p) (other p) (add1 n))]))
