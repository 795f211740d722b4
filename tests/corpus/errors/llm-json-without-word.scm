(llm-query #:instruction "List the items" #:json #t)
