;; Pattern 2, code generation: a model that has seen a sample writes the program for the whole.
;;
;;   rlm-wasm run examples/patterns/02-code-generation.scm --context examples/reviews.txt

(define sample (context-slice 0 (min 1000 (context-length))))

(define program
  (llm-query
   #:instruction
   (string-append
    "Write a Scheme program, in one fenced block. The data is bound to `context`, a string; its beginning is below.\n"
    "The program's last expression is the result.\n"
    "Task: What broke? Quote the line.")
   #:data sample
   #:model "good"))

;; What a model wrote runs here with everything that this program may do: read it in the log, and
;; never let its failure be the end.
(define answer
  (try (unsafe-exec-sub-output program)
       on-error
       (lambda (message)
         (eprintf "the model's program failed: ~a\n" message)
         (llm-query #:instruction "What broke? Quote the line." #:data sample #:model "good"))))

(finish answer)
