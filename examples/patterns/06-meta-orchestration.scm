;; Pattern 6, meta-orchestration: a planner looks at the data and chooses the pipeline that runs.
;;
;;   rlm-wasm run examples/patterns/06-meta-orchestration.scm --context examples/reviews.txt

(define question "What broke? Quote the line. If nothing did, answer NONE.")
(define (ask text) (syntax-e (llm-query #:instruction question #:data text #:model "cheap")))

(define (direct) (ask context))
(define (by-line)
  (define answers (map-async ask (filter non-empty-string? (string-split context "\n"))))
  (ask (string-join (remove "NONE" answers) "\n")))
(define (tree)
  (tree-reduce (lambda texts (ask (string-join texts "\n"))) (context-chunks 4000 200) #:leaf-fn ask))

(define pipelines (hash "direct" direct "lines" by-line "tree" tree))

;; A plan is data, not code: it can be checked before anything is spent on it.
(define (facts)
  (format "length: ~a characters\nlines: ~a\nfirst line: ~a"
          (context-length) (length (string-split context "\n")) (car (context-lines 0 1))))
(define plan
  (syntax-e
   (llm-query
    #:instruction "Choose one of: direct, lines, tree. Direct is for short texts, lines for many independent lines, tree for long prose."
    #:data (facts)
    #:model "good"
    #:temperature 0)))

(define chosen (or (findf (lambda (name) (string-contains? (string-downcase plan) name)) (hash-keys pipelines))
                   "direct"))
(eprintf "plan: ~a\n" chosen)
(finish ((hash-ref pipelines chosen)))
