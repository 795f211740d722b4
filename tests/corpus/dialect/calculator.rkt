(define (evaluate expr env)
  (match expr
    [(? number? n) n]
    [(? symbol? s) (hash-ref env s (lambda () (error 'evaluate "unbound: ~a" s)))]
    [`(let ,x ,e ,body) (evaluate body (hash-set env x (evaluate e env)))]
    [`(if0 ,c ,t ,e) (if (zero? (evaluate c env)) (evaluate t env) (evaluate e env))]
    [(list op a b)
     (define f (case op [(+) +] [(-) -] [(*) *] [(/) /] [else (error 'evaluate "bad op ~s" op)]))
     (f (evaluate a env) (evaluate b env))]))
(println (evaluate '(let x 5 (+ x (* 2 3))) (hash)))
(println (evaluate '(if0 (- 3 3) 10 20) (hash)))
(println (evaluate '(/ 1 3) (hash)))
(for ([bad '((^ 1 2) y)])
  (with-handlers ([exn:fail? (lambda (e) (displayln (exn-message e)))])
    (evaluate bad (hash))))
