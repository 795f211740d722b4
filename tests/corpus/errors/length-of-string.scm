(length "hello")
