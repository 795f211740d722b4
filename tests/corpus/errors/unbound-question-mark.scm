(if (string-prefix "abc" "a") 1 2)
