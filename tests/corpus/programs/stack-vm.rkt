#lang racket
(struct instr (op arg) #:transparent)
(define (compile-expr e)
  (match e
    [(? number? n) (list (instr 'push n))]
    [(? symbol? s) (list (instr 'load s))]
    [(list 'let (list x v) body)
     (append (compile-expr v) (list (instr 'store x)) (compile-expr body))]
    [(list op a b)
     (append (compile-expr a) (compile-expr b) (list (instr 'call op)))]))

(define ops (hash '+ + '- - '* * 'max max))

(define (run code)
  (for/fold ([stack '()] [env (hasheq)] #:result (car stack))
            ([i (in-list code)])
    (match i
      [(instr 'push n) (values (cons n stack) env)]
      [(instr 'load x) (values (cons (hash-ref env x (lambda () (error 'run "unbound ~a" x))) stack) env)]
      [(instr 'store x) (values (cdr stack) (hash-set env x (car stack)))]
      [(instr 'call op)
       (match-define (list* b a rest) stack)
       (values (cons ((hash-ref ops op) a b) rest) env)])))

(define program '(let (x (+ 3 4)) (let (y (* x 2)) (max (- y x) 6))))
(define code (compile-expr program))
(for ([i code] [n (in-naturals)])
  (printf "~a: ~a ~a\n" (~r n #:min-width 2 #:pad-string "0") (instr-op i) (instr-arg i)))
(run code)
(car code)
(with-handlers ([exn:fail? (lambda (e) (displayln (exn-message e)))])
  (run (compile-expr '(+ 1 z))))
