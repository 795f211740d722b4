(first "hello")
