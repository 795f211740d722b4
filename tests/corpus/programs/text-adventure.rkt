#lang racket
(struct room (name desc [exits #:mutable] [items #:mutable]))
(define hall (room "Hall" "A long hall." '() '(lamp)))
(define kitchen (room "Kitchen" "It smells of soup." '() '(knife bread)))
(define cellar (room "Cellar" "Dark and damp." '() '()))
(set-room-exits! hall `((north . ,kitchen)))
(set-room-exits! kitchen `((south . ,hall) (down . ,cellar)))
(set-room-exits! cellar `((up . ,kitchen)))
(define here (make-parameter hall))
(define inventory '())
(define (look r)
  (printf "~a: ~a\n" (room-name r) (room-desc r))
  (unless (null? (room-items r)) (printf "  You see: ~a\n" (string-join (map symbol->string (room-items r)) ", ")))
  (printf "  Exits: ~a\n" (string-join (map (compose symbol->string car) (room-exits r)) ", ")))
(define (do-command cmd)
  (match (map string->symbol (string-split (string-downcase cmd)))
    [(list 'look) (look (here))]
    [(list (or 'go 'walk) dir)
     (cond [(assq dir (room-exits (here))) => (λ (p) (here (cdr p)) (look (here)))]
           [else (printf "You can't go ~a.\n" dir)])]
    [(list 'take item) #:when (memq item (room-items (here)))
     (set-room-items! (here) (remq item (room-items (here))))
     (set! inventory (cons item inventory))
     (printf "Taken: ~a\n" item)]
    [(list 'take item) (printf "There is no ~a here.\n" item)]
    [(list 'drop item) #:when (memq item inventory)
     (set! inventory (remq item inventory))
     (set-room-items! (here) (cons item (room-items (here))))
     (displayln "Dropped.")]
    [(list 'inventory) (printf "You carry ~a\n" (if (null? inventory) 'nothing inventory))]
    [(list words ...) (printf "I don't understand ~s\n" words)]))
(for ([cmd '("look" "take lamp" "take sword" "go north" "WALK down" "inventory" "drop lamp" "look" "go east" "dance now" "go up")])
  (printf "> ~a\n" cmd)
  (do-command cmd))
(room-name (here))
