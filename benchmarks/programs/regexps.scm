;; Dates, addresses and words found in a log of two thousand lines, and one replaced.
(define log
  (string-join
   (for/list ([i 2000])
     (format "2024-~a-~a user~a@example.com logged in from 10.0.~a.~a after ~a tries"
             (+ 10 (modulo i 3)) (+ 10 (modulo i 19)) i (modulo i 256) (modulo (* i 7) 256) (modulo i 5)))
   "\n"))
(define dates (regexp-match* #px"\\d{4}-\\d\\d-\\d\\d" log))
(define users (regexp-match* #px"([a-z]+\\d*)@([a-z]+)\\.com" log #:match-select cadr))
(define retried (regexp-match* #px"after [1-4] tries" log))
(define hidden (regexp-replace* #px"10\\.0\\.\\d+\\.(\\d+)" log "x.x.x.\\1"))
(+ (length dates) (* 3 (length (remove-duplicates dates))) (string-length (last users)) (length users)
   (* 5 (length retried)) (string-length hidden))
