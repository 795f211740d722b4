(define (tree-reduce f lst #:branch [k 2])
  (cond [(null? lst) (error 'tree-reduce "empty list")]
        [(null? (cdr lst)) (car lst)]
        [else
         (define groups
           (let loop ([l lst] [acc '()])
             (cond [(null? l) (reverse acc)]
                   [(< (length l) k) (reverse (cons l acc))]
                   [else (loop (drop l k) (cons (take l k) acc))])))
         (tree-reduce f (map (lambda (g) (apply f g)) groups) #:branch k)]))
(println (tree-reduce (lambda xs (string-append "(" (string-join xs "+") ")")) '("a" "b" "c" "d" "e")))
(println (tree-reduce + '(1 2 3 4 5 6 7) #:branch 3))
(with-handlers ([exn:fail? (lambda (e) (displayln (exn-message e)))])
  (tree-reduce + '()))
