(define text (file->string "data.txt"))
