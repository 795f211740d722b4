#lang racket
(struct leaf (weight char) #:transparent)
(struct node (weight left right) #:transparent)
(define (weight t) (match t [(leaf w _) w] [(node w _ _) w]))
(define (freqs s)
  (for/fold ([h (hash)]) ([c s]) (hash-update h c add1 0)))
(define (build s)
  (let loop ([ts (sort (for/list ([(c n) (freqs s)]) (leaf n c))
                       (λ (a b) (or (< (leaf-weight a) (leaf-weight b))
                                    (and (= (leaf-weight a) (leaf-weight b)) (char<? (leaf-char a) (leaf-char b))))))])
    (match ts
      [(list t) t]
      [(list* a b rest)
       (loop (sort (cons (node (+ (weight a) (weight b)) a b) rest) < #:key weight))])))
(define (codes t)
  (let walk ([t t] [prefix '()])
    (match t
      [(leaf _ c) (list (cons c (list->string (reverse prefix))))]
      [(node _ l r) (append (walk l (cons #\0 prefix)) (walk r (cons #\1 prefix)))])))
(define (encode s table) (string-append* (map (λ (c) (cdr (assv c table))) (string->list s))))
(define (decode bits t)
  (let loop ([bs (string->list bits)] [n t] [out '()])
    (match* (n bs)
      [((leaf _ c) _) (if (null? bs) (list->string (reverse (cons c out))) (loop bs t (cons c out)))]
      [((node _ l r) (cons #\0 rest)) (loop rest l out)]
      [((node _ l r) (cons #\1 rest)) (loop rest r out)])))
(define msg "abracadabra")
(define tree (build msg))
(define table (codes tree))
table
(define bits (encode msg table))
bits
(string-length bits)
(decode bits tree)
tree
