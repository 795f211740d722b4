#lang racket
(define transitions
  (hash 'idle (hash 'coin 'ready)
        'ready (hash 'push 'vending 'refund 'idle)
        'vending (hash 'done 'idle)))
(define (next-state s e)
  (hash-ref (hash-ref transitions s) e (λ () s)))
(define (run-machine start events)
  (for/fold ([s start] [path (list start)] #:result (reverse path)) ([e events])
    (define n (next-state s e))
    (values n (cons n path))))
(run-machine 'idle '(push coin push done coin refund coin))
(define-syntax automaton
  (syntax-rules (: ->)
    [(_ init [state : (label -> target) ...] ...)
     (let ([state (lambda (input)
                    (match input
                      ['() 'accept-check]
                      [(cons c rest) (case c [(label) (target rest)] ... [else #f])]))] ...)
       init)]))
(define m
  (letrec ([init (λ (in) (match in ['() #f] [(cons 'c r) (more r)] [_ #f]))]
           [more (λ (in) (match in ['() #f] [(cons 'a r) (more r)] [(cons 'd r) (more r)] [(cons 'r r) (end r)] [_ #f]))]
           [end (λ (in) (null? in))])
    init))
(m '(c a d r))
(m '(c a d))
(map m '((c r) (c d d r) (x)))
(define (traffic-light)
  (define state 'red)
  (λ (msg)
    (case msg
      [(next) (set! state (case state [(red) 'green] [(green) 'yellow] [(yellow) 'red])) state]
      [(current) state]
      [else (raise (list 'bad-message msg))])))
(define tl (traffic-light))
(tl 'current)
(for/list ([_ 4]) (tl 'next))
(with-handlers ([list? (λ (l) (printf "caught ~s\n" l))]) (tl 'explode))
(case 3 [(1 2) 'low] [(3 4) 'mid] [else 'high])
(case "str" [("str" "other") 'string] [else 'none])
(case 'x [(y) 1])
