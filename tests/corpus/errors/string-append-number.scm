(define n 5)
(string-append "count: " n)
