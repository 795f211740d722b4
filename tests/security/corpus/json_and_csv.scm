;;; JSON of a hundred thousand brackets
;;; => error exn:fail:read:eof "bad JSON"
(string->jsexpr (make-string 100000 #\[))

;;; JSON that ends too early
;;; => error exn:fail:read:eof "bad JSON"
(string->jsexpr "{\"a\": [1, 2")

;;; JSON with a key ten thousand times
;;; => value "1"
(hash-count (string->jsexpr (string-append "{" (string-join (make-list 10000 "\"a\": 1") ",") "}")))

;;; JSON with half a pair
;;; => value "\ufffd"
(string->jsexpr "\"\\ud800\"")

;;; JSON with a control character in a string
;;; => error exn:fail:read "control"
(string->jsexpr "\"a\x1;b\"")

;;; JSON with a number of twenty thousand digits
;;; => value "20000"
(string-length (number->string (string->jsexpr (make-string 20000 #\7))))

;;; JSON with not a number
;;; => error exn:fail:read "JSON"
(string->jsexpr "NaN")

;;; JSON with a comma too many
;;; => error exn:fail:read "JSON"
(string->jsexpr "[1, 2,]")

;;; JSON with something after its end
;;; => error exn:fail:read "JSON"
(string->jsexpr "[1] [2]")

;;; JSON of not a number
;;; => error exn:fail:contract "JSON"
(jsexpr->string +nan.0)

;;; JSON of a list that contains itself
;;; => error exn:fail:contract "proper lists only"
(let ((l (list 1))) (set-cdr! l l) (jsexpr->string l))

;;; JSON of a table that contains itself
;;; => error exn:fail:contract "cyclic"
(let ((h (make-hasheq))) (hash-set! h 'a h) (jsexpr->string h))

;;; JSON of a procedure
;;; => error exn:fail:contract "JSON"
(jsexpr->string (hash 'a car))

;;; JSON of what is shared without end
;;; => limit fuel
(string-length (jsexpr->string (let loop ((i 40) (l '("x"))) (if (= i 0) l (loop (- i 1) (list l l))))))

;;; JSON whose keys are numbers
;;; => error exn:fail:contract "JSON"
(jsexpr->string (hash '(1) 2))

;;; JSON of text that could end a script element
;;; => value "\"</script><!--\u2028\""
(jsexpr->string "</script><!--\x2028;")

;;; JSON of a deep list, there and back
;;; => value "#t"
(let* ((deep (let loop ((i 150) (l '())) (if (= i 0) l (loop (- i 1) (list l))))) (s (jsexpr->string deep))) (equal? deep (string->jsexpr s)))

;;; lines of a table with quotes that never end
;;; => value "4"
(length (string-split "a,\"b,c\nd,e" ","))

;;; a hundred thousand empty fields
;;; => value "100000"
(length (string-split (make-string 99999 #\,) "," #:trim? #f))

;;; a table whose cells are formulas: they are text
;;; => value "=cmd|' /C calc'!A0"
(first (string-split "=cmd|' /C calc'!A0,1" ","))
