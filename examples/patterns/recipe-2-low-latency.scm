;; Recipe 2, low latency: the cache (14) first; where it misses, a race of three (7).
;;
;;   rlm-wasm run examples/patterns/recipe-2-low-latency.scm --context examples/reviews.txt --store sqlite:///answers.db

(define (hedged question)
  (race
   (map (lambda (model)
          (lambda () (llm-query-async #:instruction question #:data context #:model model)))
        '("cheap" "middle" "good"))))

(define (answer question)
  (define key (string-append "answer:" (content-key question context)))
  (or (restore key) (checkpoint key (hedged question))))

(define first-time (answer "What broke? Quote the line."))
(define calls (hash-ref (cost-used) 'calls))
(define second-time (answer "What broke? Quote the line."))
(unless (and (equal? first-time second-time) (= calls (hash-ref (cost-used) 'calls)))
  (error "the second answer should have come from the store"))
(finish second-time)
