(displayln (String-Append "a" "b"))
