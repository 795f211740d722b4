; name: Hedged fan-out
; patterns: 7 1
; why: Two models race for every part, which cuts the slowest answers off.
$head
(define instruction (string-append "Do the task for this part. Task: " task))
(define (contestant chunk model)
  (lambda () (llm-query #:instruction instruction #:data chunk #:model model #:max-tokens 400)))

(define findings
  (map-async
   (lambda (chunk) (race (list (contestant chunk "$cheap") (contestant chunk "$middle"))))
   chunks
   #:max-concurrent 10))

$merge
(finish (apply merge findings))
