; name: Let a model write the instruction
; patterns: 6 1
; why: A good model looks at samples and tells the cheap one what to do.
$head
(define (beginning chunk) (substring chunk 0 (min 1500 (string-length chunk))))
(define sample (string-join (map beginning (take chunks (min 3 (length chunks)))) "\n---\n"))

(define instruction
  (syntax-e
   (llm-query
    #:instruction
    (string-append "Write the best instruction for a small model that will see one part at a time. "
                   "Task: " task)
    #:data sample
    #:model "$good")))

(define findings
  (map-async
   (lambda (chunk)
     (llm-query-async #:instruction instruction #:data chunk #:model "$cheap" #:max-tokens 400))
   chunks
   #:max-concurrent 20))

$merge
(finish (tree-reduce merge findings #:branch-factor $branch))
