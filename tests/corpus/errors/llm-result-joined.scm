(define rs (map (lambda (x) (llm-query #:instruction x)) '("a" "b")))
(string-join rs ", ")
