(string-join ", " '("a" "b"))
