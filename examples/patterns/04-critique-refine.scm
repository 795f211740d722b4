;; Pattern 4, critique and refine: a draft, a cheap critic, a better writer, until the critic approves.
;;
;;   rlm-wasm run examples/patterns/04-critique-refine.scm --context README.md

(define text (context-slice 0 (min 20000 (context-length))))

(define (draft)
  (llm-query-async
   #:instruction "Summarise the text in two sentences for somebody who has never heard of it."
   #:data text #:model "middle"))

(define (criticise draft)
  (llm-query-async
   #:instruction "Does the summary say what it is for? Answer approved or rejected."
   #:data draft #:model "cheap"))

(define (refine draft critique)
  (llm-query-async
   #:instruction (string-append "Write the summary again in three sentences. The critic said: " critique)
   #:data (string-append draft "\n\n" text) #:model "good"))

;; The threshold makes "approved" end the loop; without it every round is made.
(finish (critique-refine draft criticise refine #:max-iter 3 #:quality-threshold 0.9))
