;;; a text of a hundred thousand brackets
;;; => error exn:fail:read:eof "expected a `)`"
(read (open-input-string (make-string 100000 #\()))

;;; a list of ten thousand lists in each other, read and written
;;; => value "#t"
(let ((s (string-append (make-string 10000 #\() (make-string 10000 #\))))) (string=? s (format "~s" (read (open-input-string s)))))

;;; comparing lists in each other
;;; => value "#t"
(define (deep n) (let loop ((i n) (l '())) (if (= i 0) l (loop (- i 1) (list l))))) (equal? (deep 100000) (deep 100000))

;;; comparing vectors in each other
;;; => value "#t"
(define (deep n) (let loop ((i n) (l '())) (if (= i 0) l (loop (- i 1) (vector l))))) (equal? (deep 100000) (deep 100000))

;;; evaluating calls in each other
;;; => value "0"
(eval (let loop ((i 20000) (e 0)) (if (= i 0) e (loop (- i 1) (list '- e)))))

;;; quotations in each other
;;; => value "quote"
(car (eval (let loop ((i 20000) (e 'x)) (if (= i 0) e (loop (- i 1) (list 'quote e))))))

;;; quasiquotations in each other
;;; => error exn:fail:syntax "unquote"
(eval (let loop ((i 1000) (e ',x)) (if (= i 0) (list 'quasiquote (list 'unquote e)) (loop (- i 1) (list 'quasiquote (list 'unquote e))))))

;;; procedures in each other
;;; => value "procedure"
(if (procedure? (eval (let loop ((i 2000) (e 1)) (if (= i 0) e (loop (- i 1) (list 'lambda '() e)))))) 'procedure 'no)

;;; bindings in each other
;;; => value "1"
(eval (let loop ((i 2000) (e 'x)) (if (= i 0) (list 'let '((x 1)) e) (loop (- i 1) (list 'let '((x x)) e)))))

;;; calls that are a hundred thousand deep, and back
;;; => value "100000"
(let loop ((i 100000)) (if (= i 0) 0 (+ 1 (loop (- i 1)))))

;;; handlers in each other
;;; => value "bottom"
(let loop ((i 3000)) (if (= i 0) (raise 'bottom) (with-handlers ((string? values)) (guard (e ((number? e) 1) ((eq? i 3000) e)) (loop (- i 1))))))

;;; winds in each other, left at once
;;; => value "2000"
(define n 0) (let/ec k (let loop ((i 2000)) (if (= i 0) (k 1) (dynamic-wind void (lambda () (loop (- i 1))) (lambda () (set! n (+ n 1))))))) n

;;; parameters in each other
;;; => value "2000"
(define p (make-parameter 0)) (let loop () (if (= (p) 2000) (p) (parameterize ((p (+ (p) 1))) (loop))))

;;; promises in each other
;;; => value "1"
(force (let loop ((i 20000) (p (delay 1))) (if (= i 0) p (loop (- i 1) (delay-force p)))))

;;; streams of streams
;;; => value "5000"
(define (from n) (stream-cons n (from (+ n 1)))) (stream-first (stream-tail (stream-map values (from 0)) 5000))

;;; a flattening of what is deep
;;; => value "(1)"
(flatten (let loop ((i 50000) (l 1)) (if (= i 0) l (loop (- i 1) (list l)))))

;;; a match against what is deep
;;; => value "no"
(match (let loop ((i 50000) (l 1)) (if (= i 0) l (loop (- i 1) (list l)))) [(list (list (list 5))) 'yes] [_ 'no])

;;; boxes in each other are printed
;;; => value "10000"
(define b (let loop ((i 10000) (b 1)) (if (= i 0) b (loop (- i 1) (box b))))) (let ((s (format "~s" b))) (length (regexp-match* #px"#&" s)))
