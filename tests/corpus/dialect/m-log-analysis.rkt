#lang racket/base
(require racket/string racket/list)
(define log-lines
  '("2024-01-15 10:23:45 [INFO] server: started on port 8080"
    "2024-01-15 10:23:50 [ERROR] db: connection refused"
    "2024-01-15 10:24:01 [WARN] cache: miss ratio 0.75"
    "2024-01-15 10:24:05 [ERROR] db: timeout after 30s"
    "garbage line"
    "2024-01-15 11:00:00 [INFO] server: request handled in 12ms"))
(struct entry (date time level component message) #:transparent)
(define rx #px"^(\\d{4}-\\d{2}-\\d{2}) (\\d{2}:\\d{2}:\\d{2}) \\[(\\w+)\\] (\\w+): (.*)$")
(define entries
  (filter-map (λ (l) (let ([m (regexp-match rx l)]) (and m (apply entry (cdr m))))) log-lines))
(length entries)
(first entries)
(define counts (make-hash))
(for ([e entries]) (hash-update! counts (entry-level e) add1 0))
(sort (hash->list counts) string<? #:key car)
(define errors (filter (λ (e) (string=? (entry-level e) "ERROR")) entries))
(for-each (λ (e) (displayln (format "~a ~s" (entry-time e) (entry-message e)))) errors)
(group-by entry-component entries)
(define (hour e) (string->number (car (string-split (entry-time e) ":"))))
(remove-duplicates (map hour entries))
(argmax string-length (map entry-message entries))
