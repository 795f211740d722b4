(define (merge . parts)
  (llm-query
   #:instruction
   (string-append "Merge these partial results into one answer to the task, losing nothing that "
                  "matters. Task: " task)
   #:data (string-join parts "\n---\n")
   #:model "$middle"))
