(define r (llm-query #:instruction "List three names"))
(for ([line (string-split r "\n")]) (displayln line))
