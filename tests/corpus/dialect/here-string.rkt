(define s #<<EOS
line 1 "quoted"
  line 2 \n not escaped
EOS
  )
(display s)
(newline)
(println (string-length s))
