; name: Fan-out with tree aggregation
; patterns: 1 10
; why: Many parts: merging them level by level keeps what one flat prompt would lose.
$head
$findings
$merge
(define overview (tree-reduce merge findings #:branch-factor $branch))

(finish
 (syntax-e
  (llm-query
   #:instruction (string-append "Answer the task from this overview. Task: " task)
   #:data overview
   #:model "$good")))
