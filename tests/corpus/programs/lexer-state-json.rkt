#lang racket
;; A hand-written JSON parser and printer over ports.
(define (parse-json in)
  (define (ws) (let ([c (peek-char in)]) (when (and (char? c) (char-whitespace? c)) (read-char in) (ws))))
  (define (expect s) (for ([c s]) (unless (eqv? c (read-char in)) (error 'parse-json "expected ~s" s))))
  (define (value)
    (ws)
    (match (peek-char in)
      [#\{ (read-char in) (object)]
      [#\[ (read-char in) (array)]
      [#\" (read-char in) (str)]
      [#\t (expect "true") #t]
      [#\f (expect "false") #f]
      [#\n (expect "null") 'null]
      [(? char? c) #:when (or (char-numeric? c) (char=? c #\-)) (num)]
      [(? eof-object?) (error 'parse-json "unexpected end of input")]
      [c (error 'parse-json "unexpected character ~s" c)]))
  (define (num)
    (let loop ([cs '()])
      (define c (peek-char in))
      (if (and (char? c) (or (char-numeric? c) (memv c '(#\- #\+ #\. #\e #\E))))
          (loop (cons (read-char in) cs))
          (string->number (list->string (reverse cs))))))
  (define (str)
    (let loop ([cs '()])
      (match (read-char in)
        [#\" (list->string (reverse cs))]
        [#\\ (loop (cons (match (read-char in) [#\n #\newline] [#\t #\tab] [#\u (integer->char (string->number (read-string 4 in) 16))] [c c]) cs))]
        [c (loop (cons c cs))])))
  (define (array)
    (ws)
    (cond [(eqv? #\] (peek-char in)) (read-char in) '()]
          [else (let loop ([acc (list (value))])
                  (ws)
                  (case (read-char in) [(#\,) (loop (cons (value) acc))] [(#\]) (reverse acc)] [else (error 'parse-json "bad array")]))]))
  (define (object)
    (ws)
    (cond [(eqv? #\} (peek-char in)) (read-char in) '()]
          [else (let loop ([acc '()])
                  (ws) (read-char in)
                  (define k (str))
                  (ws) (unless (eqv? #\: (read-char in)) (error 'parse-json "expected colon after ~s" k))
                  (define v (value))
                  (ws)
                  (let ([acc (cons (cons (string->symbol k) v) acc)])
                    (case (read-char in) [(#\,) (loop acc)] [(#\}) (reverse acc)] [else (error 'parse-json "bad object")])))]))
  (value))
(define (->json v)
  (match v
    ['null "null"] [#t "true"] [#f "false"]
    [(? number?) (number->string v)]
    [(? string?) (format "~s" v)]
    [(list (cons (? symbol? ks) vs) ...) #:when (pair? ks) (format "{~a}" (string-join (for/list ([k ks] [v vs]) (format "\"~a\":~a" k (->json v))) ","))]
    [(list xs ...) (format "[~a]" (string-join (map ->json xs) ","))]))
(define (from s) (parse-json (open-input-string s)))
(define doc (from " { \"a\" : [1, 2.5, -3e2], \"b\": {\"c\": null, \"d\": \"x\\ny \\u0041\"}, \"e\": [], \"t\": true } "))
doc
(displayln (->json doc))
(equal? doc (from (->json doc)))
(for ([bad '("" "[1 2]" "{\"a\" 1}" "tru" "?")])
  (displayln (with-handlers ([exn:fail? exn-message]) (from bad))))
