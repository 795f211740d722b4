;; JSON: Racket's names over the core's reader and writer (json.c). Objects are immutable hasheq
;; tables with symbol keys; null is (json-null).

(define (json-null? v) (eq? v (json-null)))

;; What the core's string->jsexpr and jsexpr->string leave: options, and what is no text.
(define (%string->jsexpr-otherwise . arguments) (apply %string->jsexpr-with arguments))
(define %string->jsexpr-with ; errors show it under the public name
  (let ()
    (define (string->jsexpr text #:lenient? [lenient? #f] #:null [null (json-null)] #:replace-malformed-surrogate? [ignored #f])
      (%with-null (%json-parse (%check-json-text text) lenient?) null))
    string->jsexpr))
(define (%check-json-text text)
  (cond ((string? text) text)
        ((syntax? text)
         (%contract-error (string-append "string->jsexpr: contract violation\n  expected: string?\n  given: " (%shown text 80))
                          "This is the result of an LLM call: unwrap its text first: (string->jsexpr (syntax-e …))."))
        (else (raise-argument-error 'string->jsexpr "string?" text))))
(define (bytes->jsexpr b #:lenient? [lenient? #f] #:null [null (json-null)])
  (%with-null (%json-parse (bytes->string/utf-8 b) lenient?) null))

;; What was read, with `null` in the place of (json-null).
(define (%with-null v null)
  (if (json-null? null) v (%exchanged v (json-null) null)))
(define (%exchanged v old new)
  (let walk ((v v))
    (cond ((eqv? v old) new)
          ((pair? v) (map walk v))
          ((hash? v) (for/fold ([table v]) ([(key value) (in-hash v)]) (hash-set table key (walk value))))
          (else v))))

(define (%jsexpr->string-otherwise . arguments) (apply %jsexpr->string-with arguments))
(define %jsexpr->string-with
  (let ()
    (define (jsexpr->string v #:indent [indent #f] #:encode [encode 'control] #:null [null (json-null)])
      (if (not (memq encode '(control all))) (raise-argument-error 'jsexpr->string "(or/c 'control 'all)" encode))
      (%json-write (if (json-null? null) v (%exchanged (if (hash? v) (%hash-immutable v) v) null (json-null)))
                   (%indent indent)
                   (eq? encode 'all)))
    jsexpr->string))
(define (jsexpr->bytes v #:indent [indent #f] #:encode [encode 'control] #:null [null (json-null)])
  (string->bytes/utf-8 (jsexpr->string v #:indent indent #:encode encode #:null null)))
(define (%indent indent) (cond ((exact-integer? indent) indent) (indent 2) (else #f)))
(define (write-json v [port (current-output-port)] #:indent [indent #f] #:encode [encode 'control] #:null [null (json-null)])
  (write-string (jsexpr->string v #:indent indent #:encode encode #:null null) port) (void))

;; One value from the port; what follows it stays there. The value's text is collected first: up to
;; the bracket or quote that closes it, or to what ends a number or a word.
(define (read-json [port (current-input-port)] #:null [null (json-null)])
  (let skip ()
    (let ((c (peek-char port)))
      (if (and (char? c) (char-whitespace? c)) (begin (read-char port) (skip)))))
  (if (eof-object? (peek-char port))
      (eof-object)
      (%with-null (%json-parse (%json-text port) #f) null)))

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
