#lang racket
(define graph
  (make-immutable-hash
   '((a . (b c)) (b . (d)) (c . (d e)) (d . (f)) (e . (f)) (f . ()))))

(define (bfs start goal)
  (let loop ([queue (list (list start))] [seen (set start)])
    (cond
      [(empty? queue) #f]
      [else
       (define path (first queue))
       (define node (first path))
       (if (eq? node goal)
           (reverse path)
           (let* ([next (filter-not (lambda (n) (set-member? seen n)) (hash-ref graph node))]
                  [paths (map (lambda (n) (cons n path)) next)])
             (loop (append (rest queue) paths)
                   (set-union seen (list->set next)))))])))

(bfs 'a 'f)
(bfs 'f 'a)
(define (degree-table g)
  (for/list ([(node out) (in-hash g)])
    (cons node (length out))))
(sort (degree-table graph) symbol<? #:key car)

(define (topological-sort g)
  (define visited (mutable-seteq))
  (define order '())
  (define (visit! n)
    (unless (set-member? visited n)
      (set-add! visited n)
      (for-each visit! (hash-ref g n))
      (set! order (cons n order))))
  (for ([n (sort (hash-keys g) symbol<?)]) (visit! n))
  order)
(topological-sort graph)
(printf "reversed edges: ~a\n"
        (sort (for*/list ([(from tos) graph] [to tos]) (list to from))
              (lambda (x y) (string<? (~a x) (~a y)))))
