(map-async '("a" "b") (lambda (x) (llm-query-async #:instruction x)))
