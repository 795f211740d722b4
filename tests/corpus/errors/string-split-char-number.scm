(string-split "a-b" 5)
