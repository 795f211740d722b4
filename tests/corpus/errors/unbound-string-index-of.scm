(displayln (string-index-of "hello" "l"))
