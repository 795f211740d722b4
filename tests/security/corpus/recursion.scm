;;; a child that loops: one account of fuel
;;; => limit fuel
;;; program: "(let loop () (loop))"
(llm-query #:instruction "q" #:recursive #t)

;;; a child that fills memory: one account
;;; => limit memory_bytes
;;; program: "(let loop ((l '())) (loop (cons (make-vector 1000 0) l)))"
(llm-query #:instruction "q" #:recursive #t)

;;; a child's limit is no trouble that a parent could catch and try again
;;; => limit fuel
;;; program: "(let loop () (loop))"
(let again () (guard (e (#t (again))) (llm-query #:instruction "q" #:recursive #t)) (again))

;;; a child that asks for children for ever
;;; => error exn:fail:llm "depth"
;;; program: '(finish (syntax-e (llm-query #:instruction "deeper" #:recursive #t)))'
(syntax-e (llm-query #:instruction "q" #:recursive #t))

;;; asking for more levels than there are
;;; => error exn:fail:capability "depth"
;;; limits: depth=0
(llm-query #:instruction "q" #:recursive 1)

;;; a number of levels that is none
;;; => error exn:fail:contract "recursive"
(llm-query #:instruction "q" #:recursive -1)

;;; a child that calls its parent's host function
;;; => error exn:fail:llm "host-echo"
;;; program: '(finish (host-echo "got out"))'
(llm-query #:instruction "q" #:recursive #t)

;;; a child that writes checkpoints of its parent's namespace
;;; => error exn:fail:llm "checkpoint"
;;; program: '(checkpoint "k" "from a child") (finish 1)'
(llm-query #:instruction "q" #:recursive #t)

;;; a child that reads its parent's variables
;;; => error exn:fail:llm "secret"
;;; program: '(finish secret)'
(define secret "of the parent") (llm-query #:instruction "q" #:recursive #t)

;;; a child that reads its parent's context
;;; => value "only this"
;;; program: '(finish (get-context))'
(syntax-e (llm-query #:instruction "q" #:data "only this" #:recursive #t))

;;; a child that never finishes: so many programs, and no more
;;; => value "[not computed: the iterations were used up before a program finished] ?"
;;; answer: "?"
;;; program: '(+ 1 2)'
(syntax-e (llm-query #:instruction "q" #:recursive #t))

;;; a child whose programs cannot be read
;;; => error exn:fail:llm "no program that works"
;;; program: '(((((('
(llm-query #:instruction "q" #:recursive #t)

;;; a child that makes calls: counted with its parent's
;;; => limit calls
;;; program: '(let loop () (llm-query #:instruction "q" #:max-tokens 1) (loop))'
(llm-query #:instruction "q" #:recursive #t)

;;; a child whose output is a flood
;;; => value "1"
;;; program: '(display (make-string 2000000 #\\x)) (finish 1)'
(syntax-e (llm-query #:instruction "q" #:recursive #t))

;;; a child that finishes with megabytes
;;; => value "[not computed: the iterations were used up before a program finished] ?"
;;; answer: "?"
;;; program: '(finish (make-string 3000000 #\\x))'
(syntax-e (llm-query #:instruction "q" #:recursive #t))

;;; a fan-out of children that loop: ended as one
;;; => limit fuel
;;; program: "(let loop () (loop))"
(map-async (lambda (i) (llm-query-async #:instruction "q" #:recursive #t)) (range 4))
