#lang racket
;; A calculator: tokenizer, recursive-descent parser, evaluator
(define (tokenize str)
  (let loop ([s str] [acc '()])
    (cond
      [(string=? s "") (reverse acc)]
      [(regexp-match #px"^\\s+" s) => (λ (m) (loop (substring s (string-length (car m))) acc))]
      [(regexp-match #px"^\\d+(\\.\\d+)?" s) => (λ (m) (loop (substring s (string-length (car m))) (cons (string->number (car m)) acc)))]
      [(regexp-match #px"^[-+*/()^]" s) => (λ (m) (loop (substring s 1) (cons (string->symbol (car m)) acc)))]
      [else (error 'tokenize "unexpected character: ~a" (string-ref s 0))])))
(define (parse tokens)
  (define ts tokens)
  (define (peek) (if (null? ts) 'eof (car ts)))
  (define (next!) (begin0 (peek) (set! ts (cdr ts))))
  (define (expr)
    (let loop ([left (term)])
      (case (peek)
        [(+ -) (let ([op (next!)]) (loop (list op left (term))))]
        [else left])))
  (define (term)
    (let loop ([left (power)])
      (if (memq (peek) '(* /)) (let ([op (next!)]) (loop (list op left (power)))) left)))
  (define (power)
    (define base (atom))
    (if (eq? (peek) '^) (begin (next!) (list 'expt base (power))) base))
  (define (atom)
    (define t (next!))
    (cond [(number? t) t]
          [(eq? t '|(|) (begin0 (expr) (unless (eq? (next!) '|)|) (error "expected )")))]
          [(eq? t '-) (list '- (atom))]
          [else (error 'parse "unexpected token: ~s" t)]))
  (define result (expr))
  (unless (eq? (peek) 'eof) (error 'parse "trailing: ~a" ts))
  result)
(define (evaluate ast)
  (match ast
    [(? number? n) n]
    [(list '+ a b) (+ (evaluate a) (evaluate b))]
    [(list '- a b) (- (evaluate a) (evaluate b))]
    [(list '- a) (- (evaluate a))]
    [(list '* a b) (* (evaluate a) (evaluate b))]
    [(list '/ a b) (/ (evaluate a) (evaluate b))]
    [(list 'expt a b) (expt (evaluate a) (evaluate b))]))
(for ([s '("1 + 2 * 3" "(1 + 2) * 3" "2 ^ 3 ^ 2" "10 / 4" "-3 + 5" "1.5 * 2")])
  (printf "~a => ~a => ~a\n" s (parse (tokenize s)) (evaluate (parse (tokenize s)))))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (tokenize "1 $ 2"))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (parse (tokenize "1 + * 2")))
(tokenize "(1)")
