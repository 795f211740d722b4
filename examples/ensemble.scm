;; Classify product reviews: three models vote on each, the majority decides.
;;
;;   rlm-wasm run examples/ensemble.scm --context examples/reviews.txt
;;
;; Errors of different models are seldom the same, so that a majority is right more often than any
;; one of them. Reviews are independent: all of them are voted on at once.

(define models '("cheap" "middle" "good"))
(define labels '("positive" "negative"))

(define (ask model review)
  (define answer
    (syntax-e
     (llm-query
      #:instruction "Is this review positive or negative? Answer with one word: positive or negative."
      #:data review
      #:model model
      #:temperature 0)))
  ;; Models like to add a full stop; votes must be comparable.
  (or (findf (lambda (label) (string-contains? (string-downcase answer) label)) labels)
      "unclear"))

(define (judge review)
  (vote (map (lambda (model) (lambda () (ask model review))) models)
        #:method 'plurality))

(define reviews (filter non-empty-string? (map string-trim (string-split context "\n"))))
(define verdicts (map-async judge reviews #:max-concurrent 5))

(for ([review reviews] [verdict verdicts])
  (printf "~a  ~a\n" (~a verdict #:width 8) (~a review #:max-width 60 #:limit-marker "…")))

(finish
 (string-join
  (for/list ([label labels])
    (format "~a ~a" (count (lambda (verdict) (equal? verdict label)) verdicts) label))
  ", "))
