(define-syntax-rule (pipe x f ...) (let* ([v x] [v (f v)] ...) v))
(println (pipe '(3 1 2) (lambda (l) (sort l <)) reverse (lambda (l) (map sqr l))))
(define (pipeline . fs) (apply compose (reverse fs)))
(println ((pipeline string-trim string-upcase string->list length) "  abc "))
