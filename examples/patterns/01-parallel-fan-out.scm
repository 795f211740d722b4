;; Pattern 1, parallel fan-out: sum up every part by a cheap model at once, then the sums by a better one.
;;
;;   python examples/make_corpus.py corpus.txt --limit 30
;;   rlm-wasm run examples/patterns/01-parallel-fan-out.scm --context corpus.txt

;; Python modules, each a section that begins with "=== NAME ===".
(define sections (filter non-empty-string? (regexp-split #px"(?m:^=== )" context)))

(define summaries
  (map-async
   (lambda (section)
     (llm-query-async
      #:instruction "Summarise in one sentence what this Python module is for."
      #:data section
      #:model "cheap"))
   sections
   #:max-concurrent 10
   #:on-error (lambda (e) "")))          ; one bad section does not spoil the others

(define good (filter non-empty-string? summaries))
(eprintf "~a of ~a sections summed up\n" (length good) (length sections))

(finish
 (llm-query
  #:instruction "Summarise in three sentences what these modules are for."
  #:data (string-join good "\n")
  #:model "good"))
