;; Pattern 13, anytime algorithm: a quick answer at once, better ones as long as there is time.
;;
;;   rlm-wasm run examples/patterns/13-anytime.scm --context examples/reviews.txt

(define budget-s 20)
(define start (current-inexact-milliseconds))
(define (left) (- budget-s (/ (- (current-inexact-milliseconds) start) 1000)))

(define (level instruction model)
  (lambda (best)
    (syntax-e (llm-query #:instruction instruction #:data (string-append best "\n" context) #:model model))))

(define levels
  (list (level "What is praised? Quote one line." "cheap")
        (level "What is praised? Summarise in two sentences." "middle")
        (level "What is praised, and by whom? Summarise in three sentences." "good")))

;; Whatever happens, the best answer so far is there.
(define best
  (for/fold ([best ""]) ([improve levels])
    (if (<= (left) 0)
        best
        (checkpoint "anytime-best"
          (with-timeout (left)
            (lambda () (try (improve best) on-error (lambda (message) best)))
            (lambda () best))))))

(finish best)
