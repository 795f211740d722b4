; name: Search every part
; patterns: 1
; why: Parts that hold nothing say NONE, so the last prompt stays small.
$head
(define findings
  (map-async
   (lambda (chunk)
     (llm-query-async
      #:instruction
      (string-append "Quote the lines that answer the task, word for word. If there are none, "
                     "reply NONE. Task: " task)
      #:data chunk
      #:model "$cheap"
      #:max-tokens 400))
   chunks
   #:max-concurrent 20))

(define (hit? finding) (not (string-prefix? (string-trim finding) "NONE")))
(define hits (remove-duplicates (filter hit? findings)))

(finish
 (if (null? hits)
     "nothing was found"
     (syntax-e
      (llm-query
       #:instruction (string-append "Answer the task from these quotes. Task: " task)
       #:data (string-join hits "\n")
       #:model "$good"))))
