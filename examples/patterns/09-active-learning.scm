;; Pattern 9, active learning: a cheap model does all items, an expensive one those it was unsure of.
;;
;;   rlm-wasm run examples/patterns/09-active-learning.scm --context examples/reviews.txt

(define reviews (filter non-empty-string? (string-split context "\n")))

(define (classify model)
  (lambda (review)
    (llm-query-async
     #:instruction "Is this review positive or negative? Answer positive, negative or unclear."
     #:data review #:model model #:temperature 0)))

;; How sure an answer is: here by the answer itself. Log probabilities, or whether two cheap models
;; agree, tell more than a number that a model makes up about itself.
(define (confidence answer) (if (string-contains? answer "unclear") 0.0 1.0))

(define verdicts
  (active-learning (classify "cheap") (classify "good") confidence reviews #:threshold 0.7))

(for ([review reviews] [verdict verdicts])
  (printf "~a ~a\n" (~a verdict #:width 9) review))
(finish (format "~a calls for ~a reviews" (hash-ref (cost-used) 'calls) (length reviews)))
