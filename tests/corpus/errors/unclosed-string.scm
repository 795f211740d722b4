(displayln "hello)
(displayln "world")
