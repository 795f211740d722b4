; name: Cumulative fold
; patterns: 5
; why: Order matters: every part is read knowing the ones before it.
$head
(define (read-on account chunk)
  (llm-query
   #:instruction
   (string-append "Continue the account with the next part; keep what later parts may need. "
                  "At most 300 words. Task: " task)
   #:data (string-append "So far:\n" account "\n\nNext part:\n" chunk)
   #:model "$middle"
   #:max-tokens 600))

(finish (fold-sequential read-on "(nothing yet)" chunks))
