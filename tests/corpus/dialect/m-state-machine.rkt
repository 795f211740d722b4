#lang racket
(define transitions
  (hash '(idle . coin) 'ready '(ready . push) 'idle '(ready . coin) 'ready '(idle . push) 'idle))
(define (run-machine start inputs)
  (for/fold ([state start] [trace (list start)] #:result (reverse trace)) ([i inputs])
    (define next (hash-ref transitions (cons state i) (λ () (error 'machine "no transition from ~a on ~a" state i))))
    (values next (cons next trace))))
(run-machine 'idle '(coin push push coin coin))
(define-syntax-rule (define-automaton name [state (input -> next) ...] ...)
  (define (name s in)
    (case s [(state) (case in [(input) 'next] ... [else #f])] ...)))
(define-automaton lights [red (tick -> green)] [green (tick -> yellow)] [yellow (tick -> red)])
(let loop ([s 'red] [n 4]) (unless (zero? n) (display s) (display " ") (loop (lights s 'tick) (sub1 n))))
(newline)
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (run-machine 'idle '(kick)))
(define (balanced? s)
  (define pairs (hash #\) #\( #\] #\[ #\} #\{))
  (let loop ([cs (string->list s)] [stack '()])
    (cond [(null? cs) (null? stack)]
          [(memv (car cs) '(#\( #\[ #\{)) (loop (cdr cs) (cons (car cs) stack))]
          [(hash-ref pairs (car cs) #f) => (λ (open) (and (pair? stack) (char=? (car stack) open) (loop (cdr cs) (cdr stack))))]
          [else (loop (cdr cs) stack)])))
(map balanced? '("(a[b]{c})" "(]" "((" ""))
(do ([i 0 (add1 i)] [acc '() (cons i acc)]) ((= i 3) acc))
(case 5 [(1 2 3) 'low] [(4 5 6) 'mid] [else 'high])
(cond [(assv 2 '((1 . a) (2 . b))) => cdr] [else #f])
(when #f 1)
(unless #f 'ran)
