#lang racket
(require racket/generic)
(define-generics drawable
  (draw drawable [scale])
  (area drawable)
  #:fallbacks [(define (area d) 0)]
  #:defaults ([number? (define (draw n [scale 1]) (format "number ~a" (* scale n)))]))
(struct circle (r) #:transparent
  #:methods gen:drawable
  [(define (draw c [scale 1]) (format "circle r=~a" (* scale (circle-r c))))
   (define (area c) (* 3 (sqr (circle-r c))))])
(struct line (len)
  #:methods gen:drawable
  [(define (draw l [scale 1]) (make-string (* scale (line-len l)) #\-))])
(draw (circle 2))
(draw (circle 2) 10)
(draw (line 5))
(draw 7 3)
(area (circle 2))
(area (line 3))
(drawable? (line 1))
(drawable? 'x)
(struct vec (x y)
  #:methods gen:equal+hash
  [(define (equal-proc a b rec) (and (rec (vec-x a) (vec-x b)) (rec (vec-y a) (vec-y b))))
   (define (hash-proc a rec) (+ (rec (vec-x a)) (* 3 (rec (vec-y a)))))
   (define (hash2-proc a rec) (+ (rec (vec-x a)) (rec (vec-y a))))])
(equal? (vec 1 2) (vec 1 2))
(set-count (set (vec 1 2) (vec 1 2) (vec 2 1)))
(hash-ref (hash (vec 0 0) 'origin) (vec 0 0))
(struct stack (items) #:methods gen:custom-write
  [(define (write-proc s port mode)
     (write-string "#<stack:" port)
     (for ([i (stack-items s)]) (write-string " " port) (if mode (write i port) (display i port)))
     (write-string ">" port))])
(stack '(1 "two"))
(printf "~a ~s\n" (stack '("x")) (stack '("x")))
(struct seq (n) #:methods gen:stream
  [(define (stream-empty? s) (zero? (seq-n s)))
   (define (stream-first s) (seq-n s))
   (define (stream-rest s) (seq (sub1 (seq-n s))))])
(for/list ([x (seq 4)]) x)
(struct countdown (n) #:property prop:sequence (lambda (c) (in-range (countdown-n c) 0 -1)))
(for/list ([i (countdown 3)]) i)
(with-handlers ([exn:fail? (lambda (e) (displayln "not drawable"))]) (draw 'x))
