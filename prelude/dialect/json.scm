;; JSON: Racket's names over the core's reader and writer (json.c). Objects are immutable hasheq
;; tables with symbol keys; null is (json-null).

(define (string->jsexpr text #:lenient? [lenient? #f] #:null [null #f] #:replace-malformed-surrogate? [ignored #f])
  (cond ((string? text) (%json-parse text lenient?))
        ((syntax? text)
         (%contract-error (string-append "string->jsexpr: contract violation\n  expected: string?\n  given: " (%shown text 80))
                          "This is the result of an LLM call: unwrap its text first: (string->jsexpr (syntax-e …))."))
        (else (raise-argument-error 'string->jsexpr "string?" text))))
(define (bytes->jsexpr b #:lenient? [lenient? #f]) (%json-parse (bytes->string/utf-8 b) lenient?))

(define (jsexpr->string v #:indent [indent #f] #:encode [encode 'control] #:null [null #f]) (%json-write v (%indent indent)))
(define (jsexpr->bytes v) (string->bytes/utf-8 (jsexpr->string v)))
(define (%indent indent) (cond ((exact-integer? indent) indent) (indent 2) (else #f)))
(define (write-json v [port (current-output-port)] #:indent [indent #f] #:encode [encode 'control] #:null [null #f])
  (write-string (%json-write v (%indent indent)) port) (void))

;; One value from the port; what follows it stays there. The value's text is collected first: up to
;; the bracket or quote that closes it, or to what ends a number or a word.
(define (read-json [port (current-input-port)] #:null [null #f])
  (let skip ()
    (let ((c (peek-char port)))
      (if (and (char? c) (char-whitespace? c)) (begin (read-char port) (skip)))))
  (if (eof-object? (peek-char port))
      (eof-object)
      (%json-parse (%json-text port) #f)))

(define (%json-text port)
  (let loop ((chars '()) (depth 0) (string? #f))
    (define (take depth string?)
      (let ((chars (cons (read-char port) chars)))
        (if (and (= depth 0) (not string?) (memv (car chars) '(#\} #\] #\")))
            (list->string (reverse chars))
            (loop chars depth string?))))
    (let ((c (peek-char port)))
      (cond ((eof-object? c) (list->string (reverse chars)))
            (string?
             (case c
               ((#\\) (let ((escape (read-char port)))
                        (if (eof-object? (peek-char port))
                            (loop (cons escape chars) depth #t)
                            (loop (cons (read-char port) (cons escape chars)) depth #t))))
               ((#\") (take depth #f))
               (else (take depth #t))))
            (else
             (case c
               ((#\") (take depth #t))
               ((#\{ #\[) (take (+ depth 1) #f))
               ((#\} #\]) (if (= depth 0) (list->string (reverse chars)) (take (- depth 1) #f)))
               (else
                (if (and (= depth 0) (or (char-whitespace? c) (char=? c #\,)))
                    (list->string (reverse chars))
                    (take depth #f)))))))))
