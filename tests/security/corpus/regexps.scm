;;; backtracking that doubles with every letter
;;; => value "#f"
(regexp-match #px"(a|aa)+$" (string-append (make-string 60 #\a) "b"))

;;; nested repetition
;;; => value "#f"
(regexp-match #px"^(a+)+$" (string-append (make-string 30 #\a) "b"))

;;; nested repetition of what may be empty
;;; => error exn:fail:read "could be empty"
(regexp-match #px"^(a*)*b$" (make-string 40 #\a))

;;; a repetition of repetitions
;;; => error exn:fail:contract "too large"
(pregexp "((((a{1,100}){1,100}){1,100}){1,100})")

;;; a repetition with a huge count
;;; => value "#f"
(regexp-match (pregexp "a{1000000000}") (make-string 10000 #\a))

;;; a repetition whose bounds are the wrong way round
;;; => value "(aaaaa)"
(regexp-match (pregexp "a{5,2}") "aaaaaaa")

;;; ten thousand groups in each other
;;; => error exn:fail:contract "nested too deeply"
(pregexp (string-append (make-string 10000 #\() "a" (make-string 10000 #\))))

;;; ten thousand alternatives
;;; => value "#f"
(regexp-match (regexp (string-join (map number->string (range 10000)) "|")) "x")

;;; a reference to a group that is none
;;; => error exn:fail:contract "backreference"
(pregexp "(a)\\2")

;;; a back reference that makes matching hard
;;; => limit fuel
(regexp-match #px"(a*)(a*)(a*)(a*)(a*)\\1\\2\\3\\4\\5b" (make-string 400 #\a))

;;; a look-behind within a look-ahead
;;; => value "#f"
(regexp-match #px"(?=(?<=a)b(?!c))" "xbc")

;;; a class without an end
;;; => error exn:fail:contract "missing closing square bracket"
(pregexp "[a-")

;;; a range the wrong way round
;;; => error exn:fail:contract "invalid range"
(pregexp "[z-a]")

;;; a pattern that matches nothing, everywhere
;;; => value "100001"
(length (regexp-match* #px"" (make-string 100000 #\a)))

;;; a pattern out of the data that it is to search
;;; => value "#t"
(let ((s "a+(b)*[c]{2}\\d.^$|?")) (regexp-match? (regexp (regexp-quote s)) s))

;;; a replacement that refers to groups that are not there
;;; => value "[]"
(regexp-replace #px"a" "a" "[\\7]")

;;; a replacement that grows the text without end
;;; => limit fuel
(let loop ((s "a")) (loop (regexp-replace* #px"a" s "aa")))

;;; a look-around nested a thousand times
;;; => error exn:fail:contract "nested too deeply"
(pregexp (string-append (string-append* (make-list 5000 "(?=")) "a" (make-string 5000 #\))))

;;; possessive, conditional and atomic parts
;;; => value "#f"
(regexp-match #px"(?>a+)ab" "aaaab")
