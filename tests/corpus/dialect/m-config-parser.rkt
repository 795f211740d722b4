#lang racket
(define ini #<<EOF
; a comment
[server]
host = example.com
port = 8080

[client]
timeout=30
name = "test client"
EOF
)
(define (parse-ini str)
  (for/fold ([result (hash)] [section #f] #:result result) ([line (in-lines (open-input-string str))])
    (define l (string-trim line))
    (cond
      [(or (string=? l "") (string-prefix? l ";")) (values result section)]
      [(regexp-match #rx"^\\[(.*)\\]$" l) => (λ (m) (values (hash-set result (cadr m) (hash)) (cadr m)))]
      [(regexp-match #px"^(\\w+)\\s*=\\s*(.*)$" l)
       => (λ (m) (values (hash-update result section (λ (h) (hash-set h (cadr m) (string-trim (caddr m) "\""))) (hash)) section))]
      [else (error 'parse-ini "bad line: ~a" l)])))
(define cfg (parse-ini ini))
(hash-ref (hash-ref cfg "server") "port")
(for* ([s (sort (hash-keys cfg) string<?)] [k (sort (hash-keys (hash-ref cfg s)) string<?)])
  (printf "~a.~a=~a\n" s k (hash-ref (hash-ref cfg s) k)))
(dict-ref (hash-ref cfg "client") "missing" 'none)
(with-handlers ([exn:fail? (compose displayln exn-message)]) (parse-ini "???"))
