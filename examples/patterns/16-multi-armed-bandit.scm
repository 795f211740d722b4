;; Pattern 16, multi-armed bandit: learn while working which model is worth its price (UCB1).
;;
;;   rlm-wasm run examples/patterns/16-multi-armed-bandit.scm --context examples/reviews.txt

(define arms '#("cheap" "middle" "good"))
(define prices '#(0.1 0.15 2.5))          ; dollars for a million tokens
(define pulls (make-vector 3 0))
(define rewards (make-vector 3 0.0))

;; A reward needs a check that costs little: here whether the answer has the form that was asked for.
(define (reward arm answer)
  (- (if (member answer '("positive" "negative")) 1.0 0.0)
     (* 0.1 (vector-ref prices arm))))

(define (ucb arm total)
  (define n (vector-ref pulls arm))
  (if (= n 0)
      +inf.0                              ; every arm is tried once
      (+ (/ (vector-ref rewards arm) n) (sqrt (/ (* 2 (log total)) n)))))

(define (choose-arm total) (argmax (lambda (arm) (ucb arm total)) (range (vector-length arms))))

(define reviews (filter non-empty-string? (string-split context "\n")))
(for ([round (in-range 2)])
  (for ([review reviews])
    (define arm (choose-arm (max 1 (apply + (vector->list pulls)))))
    (define answer
      (syntax-e
       (llm-query #:instruction "Is this review positive or negative? Answer positive or negative."
                  #:data review #:model (vector-ref arms arm))))
    (vector-set! pulls arm (+ 1 (vector-ref pulls arm)))
    (vector-set! rewards arm (+ (reward arm answer) (vector-ref rewards arm)))))

(finish (for/list ([arm 3]) (cons (vector-ref arms arm) (vector-ref pulls arm))))
