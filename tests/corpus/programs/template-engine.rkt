#lang racket
(define template "Dear {{name}},\n{{#items}}- {{title}}: ${{price}}\n{{/items}}Total: {{total}}\n{{missing}}Bye")
(define (render tpl ctx)
  (define section-rx #px"\\{\\{#(\\w+)\\}\\}((?s:.*?))\\{\\{/\\1\\}\\}")
  (define expanded
    (regexp-replace* section-rx tpl
                     (λ (all name body)
                       (string-append* (for/list ([item (hash-ref ctx (string->symbol name) '())])
                                         (render body (for/fold ([c ctx]) ([(k v) item]) (hash-set c k v))))))))
  (regexp-replace* #px"\\{\\{(\\w+)\\}\\}" expanded
                   (λ (all name) (~a (hash-ref ctx (string->symbol name) "")))))
(define ctx
  (hash 'name "Ada" 'total 12.5
        'items (list (hash 'title "Pen" 'price 2.5) (hash 'title "Book" 'price 10))))
(display (render template ctx))
(newline)
(render "{{a}}-{{b}}" (hash 'a 1 'b 'two))
(define (html tag #:attrs [attrs '()] . children)
  (format "<~a~a>~a</~a>" tag
          (string-append* (for/list ([a attrs]) (format " ~a=~s" (car a) (cdr a))))
          (string-append* children) tag))
(displayln (html 'ul (html 'li "one") (html 'li #:attrs '((class . "x")) "two")))
(define (escape s)
  (for/fold ([s s]) ([p '(("&" . "&amp;") ("<" . "&lt;") (">" . "&gt;"))])
    (string-replace s (car p) (cdr p))))
(escape "a < b && c > d")
(define (xexpr->string x)
  (match x
    [(? string? s) (escape s)]
    [(list tag (list (list k v) ...) kids ...)
     (format "<~a~a>~a</~a>" tag (string-append* (map (λ (k v) (format " ~a=\"~a\"" k v)) k v)) (string-append* (map xexpr->string kids)) tag)]
    [(list tag kids ...) (xexpr->string (list* tag '() kids))]))
(displayln (xexpr->string '(div ((id "main")) (p "a<b") (p (b "bold") " text"))))
(define lines (map (λ (i) (format "~a|~a|~a" (~a i #:width 4) (~a (* i i) #:width 6 #:align 'center) (~a (sqrt i) #:max-width 6))) (range 1 5)))
(for-each displayln lines)
(string-join (map (λ (p) (format "~a=~a" (car p) (cdr p))) '((q . "x") (n . 5))) "&" #:before-first "?")
