(struct queue (front back) #:transparent)
(define empty-q (queue '() '()))
(define (enqueue q x) (queue (queue-front q) (cons x (queue-back q))))
(define (dequeue q)
  (match q
    [(queue '() '()) (error 'dequeue "empty queue")]
    [(queue '() back) (dequeue (queue (reverse back) '()))]
    [(queue (cons x rest) back) (values x (queue rest back))]))
(define q (foldl (lambda (x q) (enqueue q x)) empty-q '(1 2 3)))
(define-values (x q2) (dequeue q))
(println x)
(println q2)
(with-handlers ([exn:fail? (lambda (e) (displayln (exn-message e)))])
  (dequeue empty-q))
