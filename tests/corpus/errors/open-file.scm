(open-input-file "x.txt")
