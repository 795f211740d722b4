;; Pattern 10, tree aggregation: many partial results are merged in groups, level by level.
;;
;;   python examples/make_corpus.py corpus.txt --limit 30
;;   rlm-wasm run examples/patterns/10-tree-aggregation.scm --context corpus.txt

(define chunks (context-chunks 8000 200))

(define (sum-up text)
  (syntax-e (llm-query #:instruction "Summarise in two sentences." #:data text #:model "cheap")))

;; No prompt ever holds more than five texts. The last merge gets the better model.
(define (merge . texts)
  (syntax-e
   (llm-query #:instruction "Summarise these summaries in four sentences; keep names."
              #:data (string-join texts "\n")
              #:model (if (< (length texts) 5) "good" "middle"))))

(eprintf "~a chunks\n" (length chunks))
(finish (tree-reduce merge chunks #:branch-factor 5 #:leaf-fn sum-up))
