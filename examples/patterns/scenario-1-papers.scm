;; Scenario 1: analyse 500 papers. Fan-out (1) for speed, a tree (10) for the synthesis.
;; Modules of Python's standard library stand in for papers.
;;
;;   python examples/make_corpus.py corpus.txt
;;   rlm-wasm run examples/patterns/scenario-1-papers.scm --context corpus.txt

(define papers (filter non-empty-string? (regexp-split #px"(?m:^=== )" context)))

(define findings
  (map-async
   (lambda (paper)
     (llm-query-async
      #:instruction "Summarise in one sentence what it is for."
      #:data paper #:model "cheap"))
   papers
   #:max-concurrent 20
   #:on-error (lambda (e) "")))

(define useful (filter non-empty-string? findings))
(printf "~a papers, ~a with a finding\n" (length papers) (length useful))
(finish
 (if (null? useful)
     "no findings"
     (tree-reduce
      (lambda texts
        (llm-query-async #:instruction "Summarise these findings in four sentences."
                         #:data (string-join texts "\n") #:model "good"))
      useful #:branch-factor 8)))
