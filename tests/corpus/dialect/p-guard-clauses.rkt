(define (process x)
  (let/ec return
    (when (not x) (return 'no-input))
    (unless (list? x) (return 'not-a-list))
    (when (empty? x) (return 'empty))
    (for ([i x]) (when (negative? i) (return (list 'negative i))))
    (apply + x)))
(println (map process (list #f 5 '() '(1 -2) '(1 2))))
