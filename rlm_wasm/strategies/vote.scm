; name: Vote of several models
; patterns: 8
; why: Independent models rarely make the same mistake on a label.
$head
(define models '("$cheap" "$middle" "$good"))
(define question (string-append "Reply with the label only. Task: " task))

(define labels
  (map-async
   (lambda (chunk) (ensemble-vote models question #:data chunk))
   chunks
   #:max-concurrent 10))

(finish
 (string-join
  (for/list ([label labels] [i (in-naturals 1)]) (format "~a: ~a" i label))
  "\n"))
