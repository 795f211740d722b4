;; Scenario 2: classify 10,000 items for 500 dollars at 99 % accuracy. A cheap model does all of them,
;; five models vote on those it is unsure of; a budget stands around it all. Reviews stand in for
;; images: with a workspace, #:image file goes where #:data review stands.
;;
;;   rlm-wasm run examples/patterns/scenario-2-image-classification.scm --context examples/reviews.txt

(define instruction "Classify as positive or negative. Answer positive, negative or unclear.")
(define (ask model item) (llm-query-async #:instruction instruction #:data item #:model model #:max-tokens 5))

(define items (filter non-empty-string? (string-split context "\n")))
(define verdicts
  (parameterize ([token-budget (* 400 (length items))])
    (active-learning
     (lambda (item) (ask "cheap" item))
     (lambda (item)
       (vote (map (lambda (model) (lambda () (ask model item)))
                  '("cheap" "cheap" "middle" "middle" "good"))
             #:method 'plurality))
     (lambda (answer) (if (string-contains? answer "unclear") 0 1))
     items)))

(finish (map (lambda (group) (cons (car group) (length group))) (group-by identity verdicts)))
