(map-async (lambda (x) (llm-query-async #:instruction x)) "abc")
