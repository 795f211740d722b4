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

;; Level by level, in pairs. Most merges are low in the tree, and cheap; the last one makes the answer.
(define (merged pair model)
  (if (null? (cdr pair))
      (car pair)                          ; an odd one goes up as it is
      (llm-query-async
       #:instruction "Summarise these together in three sentences."
       #:data (string-join pair "\n")
       #:model model)))

(let climb ([texts leaves] [level 1])
  (cond [(null? texts) (finish "nothing to read")]
        [(null? (cdr texts)) (finish (car texts))]
        [else
         (define model (if (<= (length texts) 2) "good" "middle"))
         (eprintf "level ~a: ~a texts by ~a\n" level (length texts) model)
         (climb (map-async (lambda (pair) (merged pair model)) (chunk texts 2)) (add1 level))]))
