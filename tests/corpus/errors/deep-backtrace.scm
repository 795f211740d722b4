(define (parse-item s) (string->number (second (string-split s ":"))))
(define (parse-all items) (map parse-item items))
(define (main) (apply + (parse-all '("a:1" "b:2" "c"))))
(main)
