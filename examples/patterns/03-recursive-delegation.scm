;; Pattern 3, recursive delegation: each section goes to a sub-model with a sandbox of its own, which
;; decides itself how to work on it, and may delegate again.
;;
;;   python examples/make_corpus.py corpus.txt --limit 8
;;   rlm-wasm run examples/patterns/03-recursive-delegation.scm --context corpus.txt

(define sections (filter non-empty-string? (regexp-split #px"(?m:^=== )" context)))

(define specialist
  (recursive-spawn
   (lambda () "What can go wrong when this module is used? Quote the sentence about errors or exceptions.")
   #:depth 2))                            ; the sub-model, and what it delegates to

(define reports
  (map-async
   (lambda (section)
     (string-append (car (string-split section)) ": " (specialist section)))
   sections
   #:max-concurrent 4
   #:on-error (lambda (e) "")))

(finish
 (llm-query
  #:instruction "Summarise the risks in three sentences."
  #:data (string-join (filter non-empty-string? reports) "\n")
  #:model "good"))
