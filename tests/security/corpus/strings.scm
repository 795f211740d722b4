;;; a text that doubles without end
;;; => limit memory_bytes
(let loop ((s "0123456789")) (loop (string-append s s)))

;;; a text from a number that is no character
;;; => error exn:fail:contract "integer->char"
(string (integer->char #xD800))

;;; a character beyond the last
;;; => error exn:fail:contract "integer->char"
(integer->char 1114112)

;;; bytes that are no UTF-8
;;; => error exn:fail:contract "UTF-8"
(utf8->string (bytevector 255 254 253))

;;; bytes of a character written too long
;;; => error exn:fail:contract "UTF-8"
(utf8->string (bytevector #xC0 #x80))

;;; bytes of half a pair
;;; => error exn:fail:contract "UTF-8"
(utf8->string (bytevector #xED #xA0 #x80))

;;; changing a literal
;;; => error exn:fail:contract "immutable?"
(string-set! "abc" 0 #\x)

;;; a wide character set into a narrow text, many times
;;; => value "100000"
(let ((s (make-string 100000 #\a))) (for ([i 1000]) (string-set! s i #\x1F642)) (string-length s))

;;; a fill that changes the width
;;; => value "#t"
(let ((s (make-string 1000 #\a))) (string-fill! s #\x1F642) (char=? (string-ref s 999) #\x1F642))

;;; copying a text over itself
;;; => value "ababcdefgh"
(let ((s (string-copy "abcdefghij"))) (string-copy! s 2 s 0 8) s)

;;; a split by nothing
;;; => value "1000"
(length (filter non-empty-string? (string-split (make-string 1000 #\a) "")))

;;; a replacement of nothing
;;; => value "xax"
(string-replace "a" "" "x")

;;; a replacement that grows beyond memory
;;; => limit memory_bytes
(string-replace (make-string 100000 #\a) "a" (make-string 100000 #\b))

;;; a join of a list that contains itself
;;; => error exn:fail:contract "list"
(let ((l (list "a"))) (set-cdr! l l) (string-join l))

;;; a map that changes the text under it
;;; => value "aaa"
(let ((s (string-copy "abc"))) (string-map (lambda (c) (string-set! s 2 #\a) (string-set! s 1 #\a) #\a) s))

;;; letters that become three when they are capitals
;;; => value "(300 300)"
(let ((s (make-string 100 #\xFB03))) (list (string-length (string-upcase s)) (string-length (string-foldcase s))))

;;; marks upon marks upon marks
;;; => value "20001"
(string-length (string-normalize-nfd (string-append "a" (make-string 20000 #\x301))))

;;; a number made of a text with zeros
;;; => value "#f"
(string->number "12\x0;3")

;;; symbols without end
;;; => limit fuel
(let loop ((i 0) (l '())) (loop (+ i 1) (cons (string->symbol (string-append "a long name of a symbol " (number->string i))) l)))

;;; symbols without end that nobody holds
;;; => limit fuel
(let loop ((i 0)) (string->symbol (number->string i)) (loop (+ i 1)))
