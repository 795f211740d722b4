(llm-query #:prompt "What?" #:data "x")
