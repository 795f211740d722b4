;; Scenario 3: moderate a chat within a second. A quick look decides; a closer one replaces it where
;; it comes in time (13).
;;
;;   rlm-wasm run examples/patterns/scenario-3-chat-moderation.scm --context examples/reviews.txt

(define (judge message model)
  (syntax-e
   (llm-query #:instruction "Is this message positive or negative? Answer positive or negative."
              #:data message #:model model)))

(define (moderate message)
  (define closer (spawn (lambda () (judge message "good"))))
  (define quick (judge message "cheap"))
  (with-timeout 1 (lambda () (await closer))
    (lambda ()
      (cancel closer)
      quick)))

(define messages (filter non-empty-string? (string-split context "\n")))
(finish
 (map (lambda (group) (cons (car group) (length group)))
      (group-by identity (map-async moderate messages #:max-concurrent 4))))
