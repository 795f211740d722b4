(define ss '("abc" "def"))
(println (apply map (lambda cs (list->string cs)) (map string->list ss)))
(println (map list->string (apply map list (map string->list ss))))
