((displayln "hi"))
