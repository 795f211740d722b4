;; Pattern 11, consensus protocol: five models vote, see the votes, vote again; four of five must agree,
;; or a person decides.
;;
;;   rlm-wasm run examples/patterns/11-consensus-protocol.scm --context examples/reviews.txt

(define models '("cheap" "cheap" "middle" "middle" "good"))
(define needed 4)

(define (round-of review extra)
  (parallel
   (map (lambda (model)
          (lambda ()
            (llm-query-async
             #:instruction (string-append "Should this customer be called back? Answer yes or no." extra)
             #:data review #:model model)))
        models)))

(define (tally votes)
  (sort (map (lambda (group) (cons (length group) (car group)))
             (group-by identity (map (lambda (v) (string-downcase (string-trim v "."))) votes)))
        > #:key car))

(define (decide review)
  (define first-round (round-of review ""))
  (define second-round
    (round-of review (format "\nFive experts said: ~a. Think again." (string-join first-round ", "))))
  (define winner (car (tally second-round)))
  (if (>= (car winner) needed) (cdr winner) "undecided: ask a person"))

(define reviews (take (filter non-empty-string? (string-split context "\n")) 4))
(finish (map-async decide reviews #:max-concurrent 2))
