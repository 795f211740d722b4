(printf "~a and ~a\n" 1)
