(struct circle (r))
(struct rect (w h))
(struct tri (a b c))
(define (area s)
  (match s
    [(circle r) (* 3 r r)]
    [(rect w h) (* w h)]
    [(tri a b c)
     (let ([p (/ (+ a b c) 2)])
       (sqrt (* p (- p a) (- p b) (- p c))))]))
(displayln (map area (list (circle 2) (rect 3 4) (tri 3 4 5))))
