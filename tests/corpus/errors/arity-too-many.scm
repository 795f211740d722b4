(define (greet name) (string-append "hi " name))
(greet "a" "b")
