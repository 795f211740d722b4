;; SRFI 69, 125 and 128.
(import (srfi 69))
(define t (make-hash-table))
(check (begin (hash-table-set! t 'a 1) (hash-table-set! t "b" 2) (list (hash-table-ref t 'a) (hash-table-ref/default t "b" 0) (hash-table-ref/default t 'z 'none) (hash-table-ref t 'z (lambda () 'failed)))) => '(1 2 none failed))
(check-error error-object? (hash-table-ref t 'nothing))
(check (begin (hash-table-update! t 'a (lambda (x) (+ x 10))) (hash-table-update! t 'n (lambda (x) (+ x 1)) (lambda () 0)) (hash-table-update!/default t 'm (lambda (x) (cons 1 x)) '()) (map (lambda (k) (hash-table-ref t k)) '(a n m))) => '(11 1 (1)))
(check (list (hash-table-size t) (hash-table-exists? t 'a) (begin (hash-table-delete! t 'a) (hash-table-exists? t 'a)) (hash-table-keys t) (hash-table-values t)) => '(4 #t #f ("b" n m) (2 1 (1))))
(check (let ((sum 0)) (hash-table-walk (alist->hash-table '((a . 1) (b . 2) (a . 9))) (lambda (k v) (set! sum (+ sum v)))) sum) => 3)
(check (hash-table-fold (alist->hash-table '((a . 1) (b . 2))) (lambda (k v acc) (+ v acc)) 0) => 3)
(check (let ((c (make-hash-table string-ci=? string-ci-hash))) (hash-table-set! c "Key" 1) (hash-table-set! c "KEY" 2) (list (hash-table-size c) (hash-table-ref c "key") (hash-table->alist c))) => '(1 2 (("Key" . 2))))
(check (let ((c (make-hash-table =))) (hash-table-set! c 1 'a) (hash-table-ref/default c 1.0 #f)) => 'a)
(check (let* ((a (alist->hash-table '((x . 1)))) (b (hash-table-copy a))) (hash-table-set! b 'x 2) (list (hash-table-ref a 'x) (hash-table-ref b 'x))) => '(1 2))
(check (let ((q (make-hash-table eq?))) (hash-table-set! q "s" 1) (hash-table-ref/default q "s" 'other)) => (let ((q (make-hash-table eq?))) (hash-table-set! q "s" 1) (hash-table-ref/default q "s" 'other)))
(check (let ((k (list 1))) (let ((q (make-hash-table eq?))) (hash-table-set! q k 'found) (list (hash-table-ref/default q k #f) (hash-table-ref/default q (list 1) #f)))) => '(found #f))

(import (srfi 125) (srfi 128))
(define h (hash-table (make-default-comparator) 'a 1 'b 2))
(check (list (hash-table-contains? h 'a) (hash-table-empty? h) (hash-table-count (lambda (k v) (> v 1)) h) (hash-table-find (lambda (k v) (and (= v 2) k)) h (lambda () #f))) => '(#t #f 1 b))
(check (begin (hash-table-intern! h 'c (lambda () 3)) (hash-table-map->list (lambda (k v) (list k v)) h)) => '((a 1) (b 2) (c 3)))
(check (let ((u (hash-table-union! (hash-table-copy h) (hash-table (make-default-comparator) 'z 26 'a 99)))) (list (hash-table-ref u 'a) (hash-table-ref u 'z) (hash-table-size u))) => '(1 26 4))
(check (hash-table=? (make-default-comparator) h (hash-table-copy h)) => #t)
(check (let ((d (make-default-comparator))) (list (<? d 1 2 3) (=? d "a" "a") (<? d 'a 'b) (<? d '(1 2) '(1 3)) (>? d "b" "a") (comparator-if<=> d 1 2 'less 'equal 'greater))) => '(#t #t #t #t #t less))
(check (let ((c (make-vector-comparator (make-comparator integer? = < (lambda (x) x))))) (list (<? c #(1 2) #(1 3)) (comparator-test-type c #(1 a)) (=? c #(1) #(1)))) => '(#t #f #t))
;; a copy says whether it is meant to be changed; hash-table-merge! is SRFI 125's: what is there stays
(define by-number (hash-table (make-comparator real? = < (lambda (x) 0)) 1 'one))
(check (map hash-table-mutable? (list by-number (hash-table-copy by-number) (hash-table-copy by-number #f) (hash-table-copy by-number #t))) => '(#t #f #f #t))
(check (hash-table-ref (hash-table-merge! (hash-table-copy by-number #t) (hash-table (make-eqv-comparator) 1 'other 2 'two)) 1) => 'one)
(check (let ((d (make-default-comparator))) (list (= (comparator-hash d "t") (string-hash "t")) (= (comparator-hash d 't) (symbol-hash 't)))) => '(#t #t))

;; SRFI 95 without an order: numbers that are not real come after those that are
(import (srfi 95))
(check (sort '(3.14+3.14i 355/113 3 22/7 3.14+0.0i 3.14)) => '(3 3.14 355/113 22/7 3.14+0.0i 3.14+3.14i))
(check (sort '("b" a 2 #\c "a" 1)) => (sort '(1 "a" #\c 2 a "b")))

;; SRFI 158
(import (srfi 158))
(check (generator->list (gflatten (generator '(1 2) '() '(a)))) => '(1 2 a))
(check (generator->list (gflatten (generator (make-range-generator 0 2) '(x)))) => '(0 1 x))
(check (generator->list (make-for-each-generator vector-for-each #(1 2 3))) => '(1 2 3))

;; SRFI 38: with a third argument only cycles get labels
(import (srfi 38))
(define shared (let ((a (list 1))) (list a a)))
(define (to-text . rest) (call-with-output-string (lambda (port) (apply write/ss shared port rest))))
(check (list (to-text) (to-text #f) (to-text #t)) => '("(#0=(1) #0#)" "(#0=(1) #0#)" "((1) (1))"))
(report)
