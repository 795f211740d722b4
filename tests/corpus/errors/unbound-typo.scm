(define words (list "a" "b"))
(displayln (string-jion words ", "))
