;; Recipe 1, quality on a budget: active learning (9) whose expensive step is an ensemble (8).
;;
;;   rlm-wasm run examples/patterns/recipe-1-budget-quality.scm --context examples/reviews.txt

(define instruction "Is this review positive or negative? Answer positive, negative or unclear.")
(define (ask review model) (llm-query-async #:instruction instruction #:data review #:model model))

(define (cheap review) (ask review "cheap"))
(define voters '("cheap" "cheap" "middle" "middle" "good"))
(define (by-vote review)
  (vote (map (lambda (model) (lambda () (ask review model))) voters) #:method 'plurality))
(define (confidence answer) (if (string-contains? answer "unclear") 0 1))

(define reviews (filter non-empty-string? (string-split context "\n")))
(define verdicts (active-learning cheap by-vote confidence reviews #:threshold 0.7))
(define all-by-vote (* (length voters) (length reviews)))
(finish (format "~a reviews, ~a calls (~a by vote alone)"
                (length verdicts) (hash-ref (cost-used) 'calls) all-by-vote))
