;; Pattern 8, ensemble voting: several models answer, the most frequent answer wins.
;;
;;   rlm-wasm run examples/patterns/08-ensemble-voting.scm --context examples/reviews.txt

(define models '("cheap" "middle" "good"))
(define labels '("positive" "negative"))

;; Votes have to be comparable: "Positive." and "positive" are one.
(define (label-in answer)
  (or (findf (lambda (label) (string-contains? (string-downcase answer) label)) labels) "unclear"))

(define (ballot review model)
  (lambda ()
    (label-in
     (syntax-e
      (llm-query #:instruction "Is this review positive or negative? Answer positive or negative."
                 #:data review #:model model #:temperature 0)))))

(define reviews (filter non-empty-string? (string-split context "\n")))
(define verdicts
  (map-async (lambda (review) (vote (map (lambda (model) (ballot review model)) models) #:method 'plurality))
             reviews #:max-concurrent 5))

(finish (map (lambda (label) (cons label (count (lambda (v) (equal? v label)) verdicts))) labels))
