;; Pattern 7, speculative execution (hedging): the same question three ways, the first answer counts.
;;
;;   rlm-wasm run examples/patterns/07-speculative-execution.scm --context examples/reviews.txt

(define (ask instruction model)
  (llm-query-async #:instruction instruction #:data context #:model model))

(define attempts
  (list (ask "What broke? Quote the line." "middle")
        (ask "Which part is broken? Quote the line." "middle")
        (ask "Find the line about something that broke." "cheap")))

(define-values (answer others) (await-any attempts))
(for-each cancel others)                  ; their requests are aborted
(finish answer)
