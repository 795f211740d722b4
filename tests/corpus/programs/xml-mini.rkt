#lang racket
(struct elem (tag attrs kids) #:transparent)
(define (parse-xml str)
  (define in (open-input-string str))
  (define (skip-ws) (when (regexp-try-match #px"^\\s+" in) (void)))
  (define (name) (bytes->string/utf-8 (car (regexp-try-match #px"^[\\w:-]+" in))))
  (define (attrs)
    (let loop ([acc '()])
      (skip-ws)
      (cond [(regexp-try-match #px"^([\\w:-]+)\\s*=\\s*\"([^\"]*)\"" in)
             => (λ (m) (loop (cons (cons (string->symbol (bytes->string/utf-8 (second m))) (bytes->string/utf-8 (third m))) acc)))]
            [else (reverse acc)])))
  (define (element)
    (unless (regexp-try-match #rx"^<" in) (error 'parse-xml "expected <"))
    (define tag (name))
    (define as (attrs))
    (cond
      [(regexp-try-match #rx"^/>" in) (elem (string->symbol tag) as '())]
      [else
       (regexp-try-match #rx"^>" in)
       (define ks (kids))
       (define close (regexp-try-match (byte-regexp (string->bytes/utf-8 (format "^</~a>" tag))) in))
       (unless close (error 'parse-xml "unclosed <~a>" tag))
       (elem (string->symbol tag) as ks)]))
  (define (kids)
    (cond
      [(regexp-match-peek #rx"^</" in) '()]
      [(regexp-match-peek #rx"^<" in) (let ([e (element)]) (cons e (kids)))]
      [(regexp-try-match #rx"^[^<]+" in)
       => (λ (m) (define t (string-trim (bytes->string/utf-8 (car m)))) (if (string=? t "") (kids) (cons t (kids))))]
      [else '()]))
  (skip-ws)
  (element))
(define doc (parse-xml "<order id=\"7\"><item qty=\"2\">Pen</item><item qty=\"1\">Ink &amp; paper</item><rush/></order>"))
doc
(define (find-all e tag) (append (if (eq? (elem-tag e) tag) (list e) '()) (append-map (λ (k) (if (elem? k) (find-all k tag) '())) (elem-kids e))))
(for ([i (find-all doc 'item)]) (printf "~a x ~a\n" (cdr (assq 'qty (elem-attrs i))) (first (elem-kids i))))
(define (render e)
  (match e
    [(? string? s) s]
    [(elem t as '()) (format "<~a~a/>" t (render-attrs as))]
    [(elem t as ks) (format "<~a~a>~a</~a>" t (render-attrs as) (string-append* (map render ks)) t)]))
(define (render-attrs as) (string-append* (for/list ([a as]) (format " ~a=\"~a\"" (car a) (cdr a)))))
(displayln (render doc))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (parse-xml "<a><b></a>"))
(require xml)
(xexpr->string '(p ((class "x")) "a < b" (br)))
