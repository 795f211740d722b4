;;; keys whose hashes are the same, made of numbers
;;; => value "20000"
(let ((h (make-hash))) (for ([i 20000]) (hash-set! h (* i 4294967296) i)) (hash-count h))

;;; keys that differ in one late place
;;; => value "2000"
(define tail (iota 200))
(let ((h (make-hash))) (for ([i 2000]) (hash-set! h (append tail (list i)) i)) (hash-count h))

;;; keys of the same letters in another order
;;; => value "5040"
(let ((h (make-hash))) (for ([p (in-permutations '(1 2 3 4 5 6 7))]) (hash-set! h p #t)) (hash-count h))

;;; keys that are floats with the same low bits
;;; => value "5000"
(let ((h (make-hash))) (for ([i 5000]) (hash-set! h (exact->inexact (* i 1048576)) i)) (hash-count h))

;;; a table as a key of itself
;;; => value "1"
(let ((h (make-hasheq))) (hash-set! h h 1) (hash-ref h h))

;;; a table that contains itself is compared
;;; => value "#t"
(let ((a (make-hash)) (b (make-hash))) (hash-set! a 'x a) (hash-set! b 'x a) (equal? a b))

;;; a key that is changed after it was put in
;;; => value "gone"
(let ((h (make-hash)) (k (list 1 2))) (hash-set! h k 1) (set-car! k 9) (hash-ref h (list 1 2) 'gone))

;;; a key that contains itself
;;; => limit fuel
(let ((h (make-hash)) (k (list 1 2))) (set-cdr! (cdr k) k) (hash-set! h k 1) (let ((j (list 1 2))) (set-cdr! (cdr j) j) (hash-ref h j 'none)) (let loop () (loop)))

;;; not a number as a key
;;; => value "1"
(let ((h (make-hash))) (for ([i 100]) (hash-set! h +nan.0 i)) (hash-count h))

;;; a table that is changed while it is gone through
;;; => value "ok"
(let ((h (make-hash))) (for ([i 100]) (hash-set! h i i)) (hash-for-each h (lambda (k v) (hash-remove! h k) (hash-set! h (+ k 1000) v))) 'ok)

;;; a table that grows while it is gone through
;;; => value "ok"
(let ((h (make-hash '((0 . 0))))) (for ([(k v) (in-hash h)]) (when (< k 1000) (hash-set! h (+ k 1) v))) 'ok)

;;; a fold of old versions of a table, each read again
;;; => value "499500"
(define versions (let loop ((i 0) (t (hash)) (all '())) (if (= i 1000) all (loop (+ i 1) (hash-set t 'x i) (cons (hash-set t 'x i) all)))))
(for/sum ([t versions]) (hash-ref t 'x))

;;; an update whose procedure changes the table
;;; => value "2"
(let ((h (make-hash '((a . 1))))) (hash-update! h 'a (lambda (v) (hash-clear! h) (+ v 1))) (hash-ref h 'a))

;;; an update whose procedure leaves by a continuation
;;; => value "1"
(let ((h (make-hash '((a . 1))))) (let/ec k (hash-update! h 'a (lambda (v) (k 1)))) (hash-ref h 'a))

;;; a hash that is asked for a huge text again and again
;;; => limit fuel
(define s (make-string 1000000 #\a)) (let loop () (equal-hash-code (string-copy s)) (loop))
