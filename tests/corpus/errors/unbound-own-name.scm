(define (summarize-chunk text) (string-upcase text))
(displayln (map sumarize-chunk '("a" "b")))
