(define m (regexp-match #rx"[0-9]+" "none here"))
(displayln (car m))
