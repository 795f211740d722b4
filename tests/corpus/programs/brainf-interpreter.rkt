#lang racket
(define (run-bf src [input ""])
  (define prog (list->vector (filter (λ (c) (memv c (string->list "+-<>[].,"))) (string->list src))))
  (define jumps (make-hasheqv))
  (for/fold ([stack '()]) ([c prog] [i (in-naturals)])
    (case c
      [(#\[) (cons i stack)]
      [(#\]) (hash-set! jumps i (car stack)) (hash-set! jumps (car stack) i) (cdr stack)]
      [else stack]))
  (define tape (make-vector 300 0))
  (define in (open-input-string input))
  (define out (open-output-string))
  (let loop ([pc 0] [ptr 0] [steps 0])
    (cond
      [(>= pc (vector-length prog)) (values (get-output-string out) steps)]
      [else
       (define cell (vector-ref tape ptr))
       (match (vector-ref prog pc)
         [#\+ (vector-set! tape ptr (modulo (add1 cell) 256)) (loop (add1 pc) ptr (add1 steps))]
         [#\- (vector-set! tape ptr (modulo (sub1 cell) 256)) (loop (add1 pc) ptr (add1 steps))]
         [#\> (loop (add1 pc) (add1 ptr) (add1 steps))]
         [#\< (loop (add1 pc) (sub1 ptr) (add1 steps))]
         [#\. (write-char (integer->char cell) out) (loop (add1 pc) ptr (add1 steps))]
         [#\, (let ([c (read-char in)]) (vector-set! tape ptr (if (eof-object? c) 0 (char->integer c)))) (loop (add1 pc) ptr (add1 steps))]
         [#\[ (loop (if (zero? cell) (add1 (hash-ref jumps pc)) (add1 pc)) ptr (add1 steps))]
         [#\] (loop (if (zero? cell) (add1 pc) (add1 (hash-ref jumps pc))) ptr (add1 steps))])])))
(run-bf "++++++++[>++++[>++>+++>+++>+<<<<-]>+>+>->>+[<]<-]>>.>---.+++++++..+++.>>.<-.<.+++.------.--------.>>+.>++.")
(run-bf ",[.,]" "echo")
(define-values (text steps) (run-bf "+++[>+++++<-]>[<+++>-]<."))
(char->integer (string-ref text 0))
steps
(define (optimize prog) (let loop ([cs (string->list prog)] [acc '()]) (match cs ['() (reverse acc)] [(list (and c (or #\+ #\-)) more ...) (let*-values ([(same rest) (splitf-at cs (curry char=? c))]) (loop rest (cons (cons c (length same)) acc)))] [(cons c rest) (loop rest (cons c acc))])))
(optimize "+++>--<.")
