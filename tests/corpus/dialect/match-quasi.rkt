(define (simp e)
  (match e
    [`(+ 0 ,x) (simp x)]
    [`(+ ,x 0) (simp x)]
    [`(* 1 ,x) (simp x)]
    [`(* ,x 1) (simp x)]
    [`(* 0 ,_) 0]
    [`(,op ,a ,b) (list op (simp a) (simp b))]
    [x x]))
(displayln (simp '(+ 0 (* 1 y))))
(displayln (simp '(* (+ a 0) (* 1 b))))
(displayln (simp '(* 0 z)))
(match '(let ((x 1) (y 2)) (+ x y))
  [`(let ((,names ,vals) ...) ,body ...) (printf "~a ~a ~a\n" names vals body)])
