(llm-query "Summarize this")
