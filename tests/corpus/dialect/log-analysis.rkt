(define log #<<END
2024-01-01 10:00:00 INFO start
2024-01-01 10:00:05 ERROR disk full
2024-01-01 10:01:00 WARN slow
2024-01-01 10:02:00 ERROR timeout on db
END
  )
(define entries
  (for/list ([line (string-split log "\n")])
    (match (regexp-match #px"^(\\S+) (\\S+) (\\w+) (.*)$" line)
      [(list _ date time level msg) (list (string->symbol level) time msg)])))
(define by-level (group-by first entries))
(for ([g by-level]) (printf "~a: ~a\n" (first (first g)) (length g)))
(for ([e entries] #:when (eq? (first e) 'ERROR)) (printf "  ~a ~a\n" (second e) (third e)))
