(define r (llm-query #:instruction "Say hi"))
(string-append "Result: " r)
