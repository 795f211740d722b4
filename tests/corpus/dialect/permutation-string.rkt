(define (perms s)
  (map list->string (permutations (string->list s))))
(println (sort (perms "abc") string<?))
(println (length (remove-duplicates (perms "aab"))))
