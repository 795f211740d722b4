;; Pattern 12, backtracking search: try a strategy, verify what it gives, and take the next one where
;; that fails. Here a quotation is asked for: it is right if the text really has it.
;;
;;   rlm-wasm run examples/patterns/12-backtracking-search.scm --context examples/reviews.txt

(define (ask instruction model)
  (lambda ()
    (syntax-e (llm-query #:instruction instruction #:data context #:model model))))

(define strategies
  (list (ask "Which sentence mentions a phone? Quote it." "cheap")
        (ask "Find the line that contains \"phone\"." "middle")
        (ask "Quote word for word the line with the word phone." "o4-mini")))

;; No model is needed to verify.
(define (valid? answer)
  (and (string-contains? context answer) (string-contains? answer "phone")))

(define (search strategies)
  (cond [(null? strategies) "no strategy gave a verified answer"]
        [else
         (define answer (try ((car strategies)) on-error (lambda (message) message)))
         (cond [(valid? answer) answer]
               [else (eprintf "rejected: ~a\n" answer)
                     (search (cdr strategies))])]))

(finish (search strategies))
