(displayln (string_append "a" "b"))
