;; Pattern 14, memoization: a question that was asked before is answered from the store.
;;
;;   rlm-wasm run examples/patterns/14-memoization.scm --context docs/embedding.md --store sqlite:///answers.db

;; Different wordings of one question should have one key.
(define (normal question) (string-normalize-spaces (string-downcase (string-trim question "?"))))

(define (answer question)
  (cached-query (normal question) #:data context #:model "cheap" #:ttl (* 24 3600)))

(define questions
  '("What is a session?" "what is a session" "How are limits set?" "What is a Session?"
    "How are limits set?" "What is a snapshot?" "what is  a snapshot?" "What is a session?"))

;; All at once: the same question asked twice at the same time is still one call.
(define answers (map-async answer questions))
(define calls (hash-ref (cost-used) 'calls))

(for ([question questions] [answer answers])
  (printf "~a\n  ~a\n" question answer))
(finish (format "~a questions, ~a calls" (length questions) calls))
