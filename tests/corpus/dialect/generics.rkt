(define-generics shape
  (area shape)
  (describe shape prefix))
(struct sq (s) #:methods gen:shape
  [(define (area shape) (* (sq-s shape) (sq-s shape)))
   (define (describe shape prefix) (format "~a square of ~a" prefix (sq-s shape)))])
(struct circ (r) #:methods gen:shape
  [(define (area shape) (* 3 (circ-r shape) (circ-r shape)))
   (define (describe shape prefix) (format "~a circle of ~a" prefix (circ-r shape)))])
(for ([s (list (sq 2) (circ 1))])
  (printf "~a: ~a\n" (describe s "a") (area s)))
(println (shape? (sq 1)))
(println (shape? 5))
