;;; one that raises
;;; => error exn:fail "refused"
(host-fails)

;;; one that exits the process: it is its failure
;;; => value "failed"
(guard (e (#t 'failed)) (host-exits))

;;; one that interrupts
;;; => value "failed"
(guard (e (#t 'failed)) (host-interrupts))

;;; one that cancels the task that it runs in
;;; => value "failed"
(guard (e (#t 'failed)) (host-cancels))

;;; one whose error cannot be printed
;;; => error exn:fail "no message"
(host-unshowable)

;;; one that is called with what it was not made for
;;; => error exn:fail "TypeError"
(host-add "a" 1)

;;; attributes of what it is given cannot be reached
;;; => value "__class__"
(host-echo "__class__")

;;; a format string for the host is text
;;; => value "{0.__class__.__init__.__globals__} %s %n"
(host-echo "{0.__class__.__init__.__globals__} %s %n")

;;; one that waits for ever, within a time
;;; => value "late"
(guard (e (#t 'late)) (with-timeout 0.001 (lambda () (host-waits))))

;;; one that is cancelled and then awaited
;;; => value "gone"
(define h (spawn (lambda () (host-waits)))) (sleep 0) (cancel h) (guard (e (#t 'gone)) (await h))

;;; a thousand calls in turn
;;; => value "499500"
(for/sum ([i 1000]) (host-echo i))

;;; as many calls at once as there may be
;;; => value "4950"
(apply + (await-all (for/list ([i 100]) (spawn (lambda () (host-echo i))))))

;;; giving its name another meaning hides it from this session alone
;;; => value "mine"
(define (host-echo x) 'mine) (host-echo 1)

;;; an executable stored as a host function's argument
;;; => value "(import os)"
(host-echo '(import os))
