(define (title s) (string-join (map string-titlecase (string-split s)) " "))
(displayln (title "hello there general"))
(displayln (string-titlecase "o'neil mc-donald"))
