#lang racket
(struct queue (front back) #:transparent)
(define empty-queue (queue '() '()))
(define (enqueue q x) (queue (queue-front q) (cons x (queue-back q))))
(define (dequeue q)
  (match q
    [(queue '() '()) (error 'dequeue "empty queue")]
    [(queue '() back) (dequeue (queue (reverse back) '()))]
    [(queue (cons x rest) back) (values x (queue rest back))]))
(define q (for/fold ([q empty-queue]) ([x '(1 2 3)]) (enqueue q x)))
q
(define-values (x q2) (dequeue q))
x
q2
(with-handlers ([exn:fail? (λ (e) (exn-message e))]) (dequeue empty-queue))
(define (balanced? s)
  (define closing (hash #\) #\( #\] #\[ #\} #\{))
  (for/fold ([stack '()] #:result (and stack (null? stack))) ([c s] #:break (not stack))
    (cond [(memv c '(#\( #\[ #\{)) (cons c stack)]
          [(hash-ref closing c #f) => (λ (o) (and (pair? stack) (char=? o (car stack)) (cdr stack)))]
          [else stack])))
(map balanced? '("(a[b]{c})" "(]" "((" "" "x)"))
(define s (box '()))
(define (push! x) (set-box! s (cons x (unbox s))))
(define (pop!) (begin0 (car (unbox s)) (set-box! s (cdr (unbox s)))))
(push! 1) (push! 2)
(pop!)
s
(require data/queue)
(define dq (make-queue))
(enqueue! dq 'a) (enqueue! dq 'b)
(dequeue! dq)
(queue-length dq)
(queue->list dq)
(require data/gvector)
(define gv (make-gvector))
(gvector-add! gv 1 2 3)
(gvector-ref gv 1)
(gvector-count gv)
(for/list ([x gv]) (* x x))
(gvector->list gv)
(gvector-set! gv 0 'new)
(gvector-remove-last! gv)
(vector? (gvector->vector gv))
(define ring (make-vector 4 #f))
(for ([i 6]) (vector-set! ring (modulo i 4) i))
ring
(struct deque ([items #:mutable]))
(define d (deque '()))
(set-deque-items! d (append (deque-items d) '(z)))
(deque-items d)
(define-struct pair2 (left right) #:transparent)
(make-pair2 1 2)
(pair2-left (make-pair2 'l 'r))
