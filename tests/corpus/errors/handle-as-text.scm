(define h (llm-query-async #:instruction "x"))
(string-append "r: " h)
