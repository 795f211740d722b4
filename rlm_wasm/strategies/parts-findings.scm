(define findings
  (map-async
   (lambda (chunk)
     (llm-query-async
      #:instruction
      (string-append "Note what this part of the data contributes to the task. Be brief. Task: " task)
      #:data chunk
      #:model "$cheap"
      #:max-tokens 400))
   chunks
   #:max-concurrent 20))
