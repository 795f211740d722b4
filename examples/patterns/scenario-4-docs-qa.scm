;; Scenario 4: questions about an API's documentation, most of them asked before (14).
;;
;;   rlm-wasm run examples/patterns/scenario-4-docs-qa.scm --context docs/embedding.md --store sqlite:///answers.db

;; Only the lines around the question's words go into the prompt, not the whole documentation.
(define (excerpt question)
  (define words (filter (lambda (word) (> (string-length word) 4)) (string-split question)))
  (define hits (append-map (lambda (word) (context-search word #:max 5)) words))
  (string-join (remove-duplicates (map cdr hits)) "\n"))

(define (answer question)
  (cached-query question #:data (excerpt question) #:model "cheap"))

(define day '("How does a session persist state?" "Which limits exist?" "How does a session persist state?"
              "Which limits exist?" "Where are checkpoints stored?"))
(define answers (map answer day))
(define calls (hash-ref (cost-used) 'calls))
(finish (format "~a questions, ~a calls" (length day) calls))
