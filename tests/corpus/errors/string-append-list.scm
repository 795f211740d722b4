(string-append "items: " '("a" "b"))
