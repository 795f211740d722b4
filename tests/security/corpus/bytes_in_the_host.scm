;;; arguments of many calls that share one text
;;; => limit host_bytes
(define d (make-string 400000 #\a))
(for ([i 20]) (spawn (lambda () (host-waits d))))
(sleep 100)

;;; one message larger than a message may be
;;; => error exn:fail:contract "message_bytes"
(llm-query #:instruction "q" #:data (make-string 2000000 #\a))

;;; a reply larger than a message may be
;;; => error exn:fail:contract "message_bytes"
(string-length (host-large 3000000))

;;; replies that add up to more than may be held
;;; => value "199400"
(apply + (await-all (for/list ([i 100]) (spawn (lambda () (string-length (context-slice 0 8000)))))))

;;; an argument that takes seventy times what was sent
;;; => limit host_bytes
(host-length (make-list 100000 '()))

;;; one wide character in a long text
;;; => limit host_bytes
(define d (string-append (make-string 600000 #\a) "\x1F642;"))
(for ([i 3]) (spawn (lambda () (host-waits d))))
(sleep 100)

;;; more handles than may be alive
;;; => limit handles
(for ([i 300]) (spawn (lambda () (sleep 100))))

;;; more requests in flight than may be
;;; => limit handles
(for ([i 300]) (spawn (lambda () (host-waits))))
(sleep 100)

;;; output without end: it is cut, and the loop is what ends
;;; => limit fuel
(let loop () (display "spam spam spam ") (loop))

;;; output without end on standard error
;;; => limit fuel
(let loop () (display "spam spam spam " (current-error-port)) (loop))

;;; output of megabytes at once
;;; => value "done"
(display (make-string 3000000 #\x)) 'done

;;; a value of megabytes: cut, and marked
;;; => value "2000000"
(define big (make-string 2000000 #\x)) (string-length big)

;;; an error whose message has megabytes
;;; => error exn:fail "xxxx"
(error (make-string 2000000 #\x))

;;; an error whose irritants have megabytes
;;; => error exn:fail "bad"
(error "bad" (make-list 10000 "irritant") (make-vector 10000 'x))

;;; a raised value of megabytes
;;; => error raise "1 1 1"
(raise (make-list 100000 1))

;;; an unbound name of a hundred thousand characters
;;; => error exn:fail:contract:variable "aaaa"
(eval (string->symbol (make-string 100000 #\a)))

;;; a definition whose name has a hundred thousand characters
;;; => value "1"
(eval (list 'define (string->symbol (make-string 100000 #\a)) 1)) 1

;;; ten thousand definitions
;;; => value "10000"
(for ([i 10000]) (eval (list 'define (string->symbol (format "v~a" i)) i))) (+ 1 v9999)

;;; a model's name of half a megabyte
;;; => error exn:fail:contract "200 characters"
(llm-query #:instruction "q" #:model (make-string 500000 #\m))

;;; host functions that are asked for large values in a loop, each dropped at once
;;; => limit fuel
(let loop () (host-large 500000) (loop))

;;; calls that are started and forgotten
;;; => limit handles
(let loop () (llm-query-async #:instruction "q") (loop))

;;; keyword arguments in thousands
;;; => error exn:fail "unexpected keyword"
(apply host-echo 1 (append* (for/list ([i 500]) (list (string->keyword (format "k~a" i)) i))))
