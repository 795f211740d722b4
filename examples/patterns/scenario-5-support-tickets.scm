;; Scenario 5: support tickets, and nobody knows the best strategy. A planner names the categories,
;; then the pipeline that it designed runs (6).
;;
;;   rlm-wasm run examples/patterns/scenario-5-support-tickets.scm --context examples/reviews.txt

(define tickets (filter non-empty-string? (string-split context "\n")))
(define sample (string-join (take tickets (min 5 (length tickets))) "\n"))

(define plan
  (string->jsexpr
   (syntax-e
    (llm-query
     #:instruction "Design a triage. Answer in JSON with the keys \"urgent\" (a word that marks urgent tickets) and \"strategy\" (each or together)."
     #:data sample #:json #t #:model "good"))
   #:lenient? #t))

(define (triage ticket)
  (llm-query-async
   #:instruction "Is this ticket positive or negative? Answer positive or negative."
   #:data ticket #:model "cheap"))

(define verdicts
  (if (equal? (hash-ref plan 'strategy "each") "together")
      (await-all (list (triage context)))
      (map-async triage tickets)))
(finish (map (lambda (group) (cons (car group) (length group))) (group-by identity verdicts)))
