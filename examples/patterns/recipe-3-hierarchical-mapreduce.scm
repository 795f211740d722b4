;; Recipe 3, hierarchical map-reduce: fan-out at the leaves (1), a tree above them (10).
;;
;;   python examples/make_corpus.py corpus.txt --limit 30
;;   rlm-wasm run examples/patterns/recipe-3-hierarchical-mapreduce.scm --context corpus.txt

(define sections (filter non-empty-string? (regexp-split #px"(?m:^=== )" context)))

(define leaves
  (map-async
   (lambda (section)
     (llm-query-async #:instruction "Summarise in one sentence." #:data section #:model "cheap"))
   sections))

(define (merge . texts)
  (llm-query-async
   #:instruction "Summarise these together in three sentences."
   #:data (string-join texts "\n")
   #:model "middle"))

(finish (tree-reduce merge leaves #:branch-factor 2))
