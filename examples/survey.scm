;; Sum up Python's standard library from its own documentation strings.
;;
;;   python examples/make_corpus.py corpus.txt
;;   rlm-wasm run examples/survey.scm --context corpus.txt
;;
;; Every module is summed up by itself (fan-out), then summaries of summaries are made until one is
;; left (tree reduction): no prompt ever holds more than ten of them.

;; "=== NAME ===\ntext" → (NAME . text)
(define (section->module section)
  (define parts (regexp-match #px"^=== (\\S+) ===\n(.*)$" section))
  (cons (second parts) (third parts)))

(define modules
  (map section->module (regexp-split #px"\n\n(?==== \\S+ ===\n)" (string-trim context))))

(define (cut text)
  (if (> (string-length text) 50000) (substring text 0 50000) text))

(define summaries
  (map-async
   (lambda (module)
     (define summary
       (syntax-e
        (llm-query
         #:instruction "Summarise in one sentence what this Python module is for."
         #:data (cut (cdr module))
         #:model "cheap")))
     (string-append (car module) ": " (string-join (string-split summary) " ")))
   modules
   #:max-concurrent 20))

(define (combine . parts)
  (syntax-e
   (llm-query
    #:instruction "Combine these summaries of Python modules: summarise them in five sentences."
    #:data (string-join parts "\n")
    #:model "middle")))

(define overview (tree-reduce combine summaries #:branch-factor 10))

(printf "~a modules\n" (length modules))
(for ([summary (take summaries (min 5 (length summaries)))])
  (displayln summary))
(finish overview)
