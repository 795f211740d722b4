(substring "hello" 2 10)
