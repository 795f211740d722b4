(define (parse-line line)
  (match line
    [(regexp #rx"^([a-z]+)=([0-9]+)$" (list _ k v)) (cons k (string->number v))]
    [(pregexp #px"^\\s*#(.*)$" (list _ c)) (list 'comment c)]
    [(regexp #rx"^$") 'blank]
    [_ 'unknown]))
(for ([l '("abc=12" "  # hi there" "" "???")])
  (println (parse-line l)))
