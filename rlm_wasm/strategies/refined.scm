; name: Draft, criticise, refine
; patterns: 1 4
; why: Notes from all parts, then a draft that a critic must approve.
$head
$findings
$merge
(define notes (tree-reduce merge findings #:branch-factor $branch))

(define (draft) (llm-query #:instruction task #:data notes #:model "$good"))

(define (critique text)
  (llm-query
   #:instruction
   (string-append "Criticise this draft; say \"approved\" if nothing is left to improve. Task: " task)
   #:data text
   #:model "$middle"))

(define (refine text said)
  (llm-query
   #:instruction (string-append "Improve the draft by the critique. Task: " task)
   #:data (string-append text "\n\nCritique:\n" said)
   #:model "$good"))

(finish (critique-refine draft critique refine #:max-iter 2 #:quality-threshold 0.9))
