(struct expr () #:transparent)
(struct num expr (v) #:transparent)
(struct add expr (l r) #:transparent)
(struct mul expr (l r) #:transparent)
(define (ev e)
  (match e
    [(num v) v]
    [(add l r) (+ (ev l) (ev r))]
    [(mul l r) (* (ev l) (ev r))]))
(define (show e)
  (match e
    [(num v) (number->string v)]
    [(add l r) (format "(~a + ~a)" (show l) (show r))]
    [(mul l r) (format "~a * ~a" (show l) (show r))]))
(define e (add (num 1) (mul (num 2) (num 3))))
(println (ev e))
(displayln (show e))
(println e)
(println (expr? e))
(define (simplify e)
  (match e
    [(add (num 0) x) (simplify x)]
    [(add x (num 0)) (simplify x)]
    [(mul (num 1) x) (simplify x)]
    [(mul x (num 1)) (simplify x)]
    [(mul (num 0) _) (num 0)]
    [_ e]))
(println (simplify (mul (num 1) (num 5))))
(println (match e [(struct add (l r)) l]))
(println (match e [(struct* add ([l x])) x]))
