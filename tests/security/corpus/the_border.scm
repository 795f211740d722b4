;;; nesting of a hundred thousand lists as an argument
;;; => error exn:fail:contract "nested"
(host-echo (let loop ((i 100000) (l '())) (if (= i 0) l (loop (- i 1) (list l)))))

;;; nesting of a hundred thousand lists as a value
;;; => value "100000"
(define deep (let loop ((i 100000) (l '())) (if (= i 0) l (loop (- i 1) (list l))))) (let loop ((d deep) (n 0)) (if (null? d) n (loop (car d) (+ n 1))))

;;; a list that contains itself, as an argument
;;; => error exn:fail:contract "cyclic"
(define l (list 1 2)) (set-cdr! (cdr l) l) (host-echo l)

;;; a vector that contains itself, as an argument
;;; => error exn:fail:contract "cyclic"
(define v (vector 1 2)) (vector-set! v 0 v) (host-echo v)

;;; a list that contains itself, as the value
;;; => value "#0=(1 2 . #0#)"
(define l (list 1 2)) (set-cdr! (cdr l) l) l

;;; a procedure as an argument
;;; => error exn:fail:contract "procedure"
(host-echo car)

;;; a port as an argument
;;; => error exn:fail:contract "port"
(host-echo (current-output-port))

;;; a continuation as an argument
;;; => error exn:fail:contract "procedure"
(host-echo (call/cc values))

;;; an integer of a hundred thousand digits, there and back
;;; => value "#t"
(let ((n (expt 7 20000))) (= n (host-echo n)))

;;; not a number and infinities, there and back
;;; => value "(+nan.0 +inf.0 -inf.0 -0.0)"
(host-echo '(+nan.0 +inf.0 -inf.0 -0.0))

;;; a number with a denominator, there and back
;;; => value "-1/3"
(host-echo -1/3)

;;; a text with a zero and half-characters' neighbours, there and back
;;; => value "#t"
(let ((s "a\x0;\xd7ff;\xe000;\xffff;\x10ffff;")) (string=? s (host-echo s)))

;;; a table with keys that are one for Python
;;; => error exn:fail:contract "keys that are one in Python"
(hash-count (host-echo (hash 1 'a 1.0 'b #t 'c)))

;;; a table whose keys cannot be hashed in the host
;;; => value "1"
(hash-count (host-echo (hash '(1 (2)) 'a)))

;;; a symbol that looks like a keyword
;;; => value "#:x"
(host-echo (string->symbol "#:x"))

;;; too many arguments for a host function
;;; => error exn:fail "argument"
(host-echo 1 2 3)

;;; an argument by a name that is another attribute
;;; => error exn:fail "__class__"
(host-echo 1 #:__class__ 2)

;;; a host function gives a list that contains itself
;;; => error exn:fail:contract "contains itself"
(host-weird "cycle")

;;; a host function gives a hundred thousand lists in each other
;;; => error exn:fail:contract "nested"
(host-weird "deep")

;;; a host function gives half a character
;;; => value "a�b"
(host-weird "surrogate")

;;; a host function gives an object of Python
;;; => error exn:fail:contract "object"
(host-weird "object")

;;; a host function gives a module
;;; => error exn:fail:contract "module"
(host-weird "module")

;;; a host function gives a function
;;; => error exn:fail:contract "builtin_function_or_method"
(host-weird "function")

;;; a host function gives a class
;;; => error exn:fail:contract "type"
(host-weird "class")

;;; a host function gives a generator
;;; => error exn:fail:contract "generator"
(host-weird "generator")

;;; a host function gives an integer of five thousand digits
;;; => value "5001"
(string-length (number->string (host-weird "huge")))

;;; a host function gives a text of a class of its own
;;; => value "y"
(host-weird "self-made")
