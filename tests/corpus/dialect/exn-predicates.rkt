(define (classify thunk)
  (with-handlers ([exn:fail:contract:divide-by-zero? (lambda (e) 'div)]
                  [exn:fail:contract? (lambda (e) 'contract)]
                  [exn:fail:user? (lambda (e) 'user)]
                  [exn:fail? (lambda (e) 'fail)]
                  [(lambda (x) #t) (lambda (x) (list 'other x))])
    (thunk)))
(println (classify (lambda () (/ 1 0))))
(println (classify (lambda () (car 5))))
(println (classify (lambda () (vector-ref (vector 1) 9))))
(println (classify (lambda () (raise-user-error "x"))))
(println (classify (lambda () (error "x"))))
(println (classify (lambda () (raise 'sym))))
(println (classify (lambda () (raise (list 1 2)))))
(println (classify (lambda () ((lambda (x) x)))))
(println (classify (lambda () (string-append "a" 1))))
(println (classify (lambda () 'fine)))
(println (exn? (with-handlers ([void values]) (error "e"))))
