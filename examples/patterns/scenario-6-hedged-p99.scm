;; Scenario 6: the median answer takes two seconds, one in a hundred takes thirty. A second attempt
;; starts only where the first is late, so that hedging costs a few per cent instead of twice as much (7).
;;
;;   rlm-wasm run examples/patterns/scenario-6-hedged-p99.scm --context examples/reviews.txt

(define patience-s 4)                     ; about the 95th percentile

(define (ask) (llm-query-async #:instruction "What broke? Quote the line." #:data context #:model "middle"))

(define (hedged)
  (define first-attempt (ask))
  (define late (spawn (lambda () (sleep patience-s) "late")))
  (define-values (answer others) (await-any (list first-attempt late)))
  (cond [(equal? answer "late")
         (define-values (winner losers) (await-any (list first-attempt (ask))))
         (for-each cancel losers)
         winner]
        [else (for-each cancel others) answer]))

(finish (hedged))
