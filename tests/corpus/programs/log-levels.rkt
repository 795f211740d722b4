#lang racket
(require racket/date)
(define log-lines
  '("2024-03-01 12:00:01 [INFO] server: started on port 8080"
    "2024-03-01 12:00:05 [WARN] db: slow query (1532 ms)"
    "2024-03-01 12:01:10 [ERROR] api: timeout after 30s user=42"
    "2024-03-01 12:02:00 [INFO] api: GET /users 200 12ms"
    "garbage line"
    "2024-03-02 00:00:00 [ERROR] api: timeout after 30s user=7"))

(struct entry (date time level source message) #:transparent)

(define line-rx #px"^(\\d{4}-\\d{2}-\\d{2}) (\\d{2}:\\d{2}:\\d{2}) \\[(\\w+)\\] (\\w+): (.*)$")

(define (parse line)
  (match line
    [(regexp line-rx (list _ date time level source message))
     (entry date time (string->symbol (string-downcase level)) source message)]
    [_ #f]))

(define entries (filter-map parse log-lines))
(printf "parsed ~a of ~a lines\n" (length entries) (length log-lines))
(for ([group (group-by entry-level entries)])
  (printf "~a: ~a\n" (entry-level (car group)) (length group))
  (for ([e group])
    (printf "  ~a ~a\n" (entry-time e) (entry-message e))))
(define errors (filter (compose1 (curry eq? 'error) entry-level) entries))
(displayln (first errors))
(define users
  (for*/list ([e errors]
              [m (in-value (regexp-match #px"user=(\\d+)" (entry-message e)))]
              #:when m)
    (string->number (second m))))
users
(apply max users)
