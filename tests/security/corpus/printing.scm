;;; a list that contains itself
;;; => value "#0=(1 . #0#)"
(let ((l (list 1))) (set-cdr! l l) (format "~s" l))

;;; a list whose parts are shared without end: it doubles with each level
;;; => limit fuel
(format "~s" (let loop ((i 60) (l '(x))) (if (= i 0) l (loop (- i 1) (list l l)))))

;;; the same as the value: cut
;;; => value "60"
(define l (let loop ((i 60) (l '(x))) (if (= i 0) l (loop (- i 1) (list l l))))) (length (let loop ((l l) (n '())) (if (eq? (car l) 'x) n (loop (car l) (cons 1 n)))))

;;; a table that contains itself
;;; => value "done"
(let ((h (make-hash))) (hash-set! h 'self h) (display h) 'done)

;;; a struct that contains itself
;;; => value "done"
(struct s (x) #:mutable #:transparent) (let ((v (s 1))) (set-s-x! v v) (display v) 'done)

;;; a box that contains itself
;;; => value "done"
(let ((b (box 1))) (set-box! b b) (write b) 'done)

;;; a custom printer that prints itself
;;; => limit memory_bytes
(struct s (x) #:methods gen:custom-write [(define (write-proc v port mode) (write v port))]) (display (s 1))

;;; pretty printing what is deep
;;; => limit fuel
(pretty-print (let loop ((i 20000) (l '())) (if (= i 0) l (loop (- i 1) (list l))))) 'done

;;; a format directive without an argument
;;; => error exn:fail:contract "requires 1 arguments"
(format "~a")

;;; a format directive that is none
;;; => error exn:fail:contract "ill-formed"
(format "~q" 1)

;;; a format of fifty thousand directives
;;; => error exn:fail:contract "requires 50000 arguments"
(format (string-append* (make-list 50000 "~a")) 1)

;;; a column of a thousand million blanks
;;; => limit memory_bytes
(~a "x" #:min-width 1000000000000)

;;; a number to a thousand million places
;;; => error exn:fail "too large"
(real->decimal-string 1/3 100000000)

;;; padding to what no memory holds
;;; => limit memory_bytes
(string-pad "a" 4000000000)

;;; a string port that is filled without end
;;; => limit fuel
(let ((p (open-output-string))) (let loop () (write-string "0123456789" p) (loop)))

;;; printing into a port that was closed
;;; => error exn:fail "closed"
(let ((p (open-output-string))) (close-port p) (write 1 p))

;;; symbols that have to be quoted
;;; => value "(|a b| || |1| |#foo| |a\x1bb|)"
(format "~s" (map string->symbol '("a b" "" "1" "#foo" "a\x1b;b")))
