#lang racket
(define (next-token in)
  (define c (peek-char in))
  (cond
    [(eof-object? c) c]
    [(char-whitespace? c) (read-char in) (next-token in)]
    [(char-numeric? c) (cons 'num (string->number (read-while in char-numeric?)))]
    [(char-alphabetic? c) (cons 'id (string->symbol (read-while in (λ (c) (or (char-alphabetic? c) (char-numeric? c))))))]
    [(memv c '(#\+ #\- #\* #\/ #\( #\) #\=)) (read-char in) (cons 'op c)]
    [(char=? c #\") (read-char in) (begin0 (cons 'str (read-while in (λ (c) (not (char=? c #\"))))) (read-char in))]
    [else (error 'tokenize "unexpected ~s at ~a" c (let-values ([(l c p) (port-next-location in)]) p))]))
(define (read-while in ok?)
  (define out (open-output-string))
  (let loop ()
    (define c (peek-char in))
    (when (and (char? c) (ok? c))
      (write-char (read-char in) out)
      (loop)))
  (get-output-string out))
(define (tokens s)
  (define in (open-input-string s))
  (for/list ([t (in-producer next-token eof-object? in)]) t))
(tokens "x1 = (42 + y) * 7")
(tokens "say \"hi there\" 3")
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (tokens "a ? b"))
(define in (open-input-string "line one\nline two\n\nlast"))
(read-line in)
(read-char in)
(peek-string 3 0 in)
(read-string 7 in)
(port->lines in)
(eof-object? (read-line in))
(call-with-output-string (λ (p) (fprintf p "~a+~a" 1 2) (newline p)))
(with-output-to-string (λ () (display "x") (write "y")))
(with-input-from-string "1 (2 3) foo" (λ () (list (read) (read) (read) (eof-object? (read)))))
(port->string (open-input-string "whole"))
(let ([o (open-output-bytes)]) (write-bytes #"ab" o) (write-byte 99 o) (get-output-bytes o))
(for/list ([x (in-port read (open-input-string "(1 2) 5"))]) x)
(let-values ([(in out) (make-pipe)]) (write-string "piped\n" out) (close-output-port out) (port->string in))
(read (open-input-string "#(1 \"two\" #\\3)"))
