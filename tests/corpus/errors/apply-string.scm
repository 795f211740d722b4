("hello" 1)
