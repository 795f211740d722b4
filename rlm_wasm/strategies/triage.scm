; name: Cheap first, careful where unsure
; patterns: 9 10
; why: Only parts that the cheap model is unsure about cost real money.
$head
(define instruction
  (string-append "Do the task for this part. Answer as json: "
                 "{\"answer\": text, \"confidence\": number from 0 to 1}. Task: " task))

(define (answered-by model)
  (lambda (chunk)
    (syntax-e (llm-query #:instruction instruction #:data chunk #:model model #:json #t))))

(define (part answer key default)
  (let ([h (string->jsexpr answer)]) (if (hash? h) (hash-ref h key default) default)))
(define (confidence answer)
  (let ([c (part answer 'confidence 0)]) (if (real? c) c 0)))

(define answers
  (active-learning (answered-by "$cheap") (answered-by "$good") confidence chunks #:threshold 0.7))

$merge
(finish
 (tree-reduce merge
              (map (lambda (answer) (format "~a" (part answer 'answer answer))) answers)
              #:branch-factor $branch))
