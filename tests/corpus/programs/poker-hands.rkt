#lang racket
(struct card (rank suit) #:transparent)
(define ranks "23456789TJQKA")
(define (parse-card s)
  (card (for/first ([c ranks] [i (in-naturals 2)] #:when (char=? c (string-ref s 0))) i) (string->symbol (substring s 1))))
(define (parse-hand s) (sort (map parse-card (string-split s)) > #:key card-rank))
(define (classify hand)
  (define rs (map card-rank hand))
  (define counts (sort (map length (group-by values rs)) >))
  (define flush? (= 1 (length (remove-duplicates (map card-suit hand)))))
  (define straight? (and (= 5 (length (remove-duplicates rs))) (= 4 (- (first rs) (last rs)))))
  (match* (counts flush? straight?)
    [(_ #t #t) 'straight-flush]
    [('(4 1) _ _) 'four-of-a-kind]
    [('(3 2) _ _) 'full-house]
    [(_ #t _) 'flush]
    [(_ _ #t) 'straight]
    [((list 3 _ ...) _ _) 'three-of-a-kind]
    [((list 2 2 1) _ _) 'two-pair]
    [((list 2 _ ...) _ _) 'pair]
    [(_ _ _) (list 'high (first rs))]))
(for ([h '("2H 2D 2S 2C 9D" "TH JH QH KH AH" "3C 3D 9S 9C 9H" "2D 5D 9D JD KD" "4C 5D 6H 7S 8C" "AA BB" "AH AD 3C 3D 7S" "AH KD 9C 5D 2S")])
  (printf "~a ~a\n" (~a h #:width 16)
          (with-handlers ([exn:fail? (λ (e) 'invalid)]) (classify (parse-hand h)))))
(first (parse-hand "2H KD"))
(define deck (for*/list ([s '(H D C S)] [r (in-range 2 15)]) (card r s)))
(length deck)
(define (deal deck n) (for/list ([i n]) (for/list ([c deck] [k (in-naturals)] #:when (= i (modulo k n)) #:break (>= k (* 5 n))) c)))
(map length (deal deck 4))
(first (first (deal deck 4)))
(count (λ (c) (eq? 'H (card-suit c))) deck)
(length (filter (λ (c) (> (card-rank c) 10)) deck))
(define score-table (for/hash ([name '(pair two-pair flush)] [v '(1 2 5)]) (values name v)))
(for/list ([n '(flush pair)]) (hash-ref score-table n))
(card 14 'S)
(equal? (card 2 'H) (parse-card "2H"))
(set-member? (list->set deck) (card 10 'C))
