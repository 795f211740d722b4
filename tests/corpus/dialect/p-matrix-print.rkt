(define m '((1 2 3) (40 50 60) (700 800 900)))
(for ([row m]) (displayln (string-join (map (lambda (x) (~a x #:width 5 #:align 'right)) row) "")))
(println (map (lambda (row) (apply + row)) m))
(println (apply map + m))
