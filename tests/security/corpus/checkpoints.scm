;;; a key that is a path
;;; => value "mine"
(checkpoint "../../../etc/passwd" "mine") (restore "../../../etc/passwd")

;;; a key of a hundred thousand characters
;;; => error exn:fail:contract "1,024 are the most"
(checkpoint (make-string 100000 #\k) 1)

;;; a key that is empty
;;; => value "1"
(checkpoint "" 1) (restore "")

;;; a key that is no text
;;; => error exn:fail:contract "string or symbol"
(checkpoint 5 1)

;;; a key with a zero in it
;;; => value "1"
(checkpoint "a\x0;b" 1) (restore "a\x0;b")

;;; a value larger than all checkpoints may be
;;; => error exn:fail:contract "checkpoint_bytes"
(checkpoint "large" (make-string 100000 #\x))

;;; checkpoints without end
;;; => error exn:fail:contract "checkpoint_bytes"
(let loop ((i 0)) (checkpoint (number->string i) (make-string 1000 #\x)) (loop (+ i 1)))

;;; overwriting the same one without end
;;; => limit fuel
(let loop () (checkpoint "same" (make-string 1000 #\x)) (loop))

;;; a value that is a procedure
;;; => error exn:fail:contract "procedure"
(checkpoint "p" car)

;;; a value that contains itself
;;; => error exn:fail:contract "cyclic"
(let ((l (list 1))) (set-cdr! l l) (checkpoint "c" l))

;;; a value that is nested ten thousand times
;;; => value "10000"
(checkpoint "d" (let loop ((i 10000) (l '())) (if (= i 0) l (loop (- i 1) (list l)))))
(let loop ((d (restore "d")) (n 0)) (if (null? d) n (loop (car d) (+ n 1))))

;;; a value that a look-up is said to find where there is none
;;; => value "nothing"
(restore "no such key" "nothing")

;;; a look-up of what there is not
;;; => value "#f"
(restore "no such key")

;;; a scoped value is kept as its text, as finish gives it
;;; => value "[q]"
(checkpoint "s" (llm-query #:instruction "q")) (restore "s")

;;; not a number, negative zero and a large integer survive
;;; => value "#t"
(let ((v (list +nan.0 -0.0 (expt 3 500) 1/3))) (checkpoint "n" v) (equal? v (restore "n")))

;;; many at once
;;; => error exn:fail:contract "checkpoint_bytes"
(await-all (for/list ([i 100]) (spawn (lambda () (checkpoint (number->string i) (make-string 1000 #\x))))))
