; name: Recursive delegation
; patterns: 3 10
; why: Sub-models program their own way through each part.
$head
; each part goes to a sub-model with a sandbox of its own, which writes its own program
(define findings
  (map-async
   (lambda (chunk)
     (llm-query-async #:instruction task #:data chunk #:model "$middle" #:recursive #t))
   chunks
   #:max-concurrent 5))

$merge
(finish (tree-reduce merge findings #:branch-factor $branch))
