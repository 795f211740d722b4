(string-split 'a "a,b")
