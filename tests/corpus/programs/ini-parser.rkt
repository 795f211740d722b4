#lang racket
(define source #<<INI
; global settings
name = demo app
debug=true

[database]
host = localhost
port = 5432

[paths]
root = /var/data
cache = ${root}/cache
INI
  )
(define (parse-ini str)
  (define in (open-input-string str))
  (let loop ([section 'global] [acc (hash)])
    (define line (read-line in 'any))
    (cond
      [(eof-object? line) acc]
      [else
       (define trimmed (string-trim line))
       (match trimmed
         [(or "" (regexp #rx"^;")) (loop section acc)]
         [(regexp #px"^\\[(\\w+)\\]$" (list _ name)) (loop (string->symbol name) acc)]
         [(regexp #px"^([^=]+)=(.*)$" (list _ k v))
          (loop section
                (hash-update acc section
                             (lambda (h) (hash-set h (string->symbol (string-trim k)) (string-trim v)))
                             (hash)))])])))
(define config (parse-ini source))
(define (get section key [default #f]) (hash-ref (hash-ref config section (hash)) key default))
(get 'global 'name)
(get 'database 'port)
(get 'database 'user "nobody")
(define (expand section v)
  (regexp-replace* #px"\\$\\{(\\w+)\\}" v (lambda (_ name) (get section (string->symbol name) ""))))
(expand 'paths (get 'paths 'cache))
(for ([s (sort (hash-keys config) symbol<?)])
  (printf "[~a]\n" s)
  (for ([k (sort (hash-keys (hash-ref config s)) symbol<?)])
    (printf "~a=~a\n" k (get s k))))
(define typed (match (get 'global 'debug) ["true" #t] ["false" #f] [other other]))
typed
