(define stop (set "the" "a" "of"))
(define words (string-split "the history of a small town"))
(println (filter (lambda (w) (not (set-member? stop w))) words))
(println (string-join (for/list ([w words] #:unless (set-member? stop w)) (string-upcase w)) "/"))
