;; Recipe 4, adaptive system: a bandit (16) learns which cheap model to use, active learning (9) sends
;; what it is unsure of to an expensive one; what was learnt is kept for the next run.
;;
;;   rlm-wasm run examples/patterns/recipe-4-adaptive.scm --context examples/reviews.txt --store sqlite:///bandit.db

(define arms '("cheap" "middle"))
;; model → (successes . trials), from the last run where there was one
(define stats (make-hash (or (restore "bandit") (map (lambda (arm) (cons arm (cons 0 0))) arms))))

(define (score arm)
  (define s (hash-ref stats arm))
  (define total (add1 (for/sum ([s (hash-values stats)]) (cdr s))))
  (if (= 0 (cdr s)) +inf.0 (+ (/ (car s) (cdr s)) (sqrt (/ (* 2 (log total)) (cdr s))))))

(define instruction "Is this review positive or negative? Answer positive, negative or unclear.")
(define (ask model review) (syntax-e (llm-query #:instruction instruction #:data review #:model model)))

(define (classify review)
  (define arm (argmax score arms))
  (define answer (ask arm review))
  (define sure? (not (string-contains? answer "unclear")))
  (hash-update! stats arm (lambda (s) (cons (+ (car s) (if sure? 1 0)) (add1 (cdr s)))))
  (if sure? answer (ask "good" review)))

(define verdicts (map classify (filter non-empty-string? (string-split context "\n"))))
(checkpoint "bandit" (hash->list stats))
(finish (hash->list stats))
