(define edges '((a b 4) (a c 1) (c b 2) (b d 5)))
(define (neighbors n) (for/list ([e edges] #:when (eq? (first e) n)) (cons (second e) (third e))))
(define (shortest from to)
  (let loop ([frontier (list (list 0 from))] [seen '()])
    (cond [(null? frontier) #f]
          [else
           (define best (argmin first frontier))
           (define node (second best))
           (cond [(eq? node to) (list (first best) (reverse (cdr best)))]
                 [(memq node seen) (loop (remove best frontier) seen)]
                 [else (loop (append (remove best frontier) (for/list ([n (neighbors node)]) (list* (+ (first best) (cdr n)) (car n) (cdr best)))) (cons node seen))])])))
(println (shortest 'a 'd))
(println (shortest 'd 'a))
