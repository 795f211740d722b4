#lang racket
(define md #<<MD
# Title

Some *emphasis* and **strong** text with `code`.

- item one
- item [two](http://x.y)

1. first
2. second

> quoted
MD
  )
(define (inline s)
  (define steps
    (list (cons #px"\\*\\*([^*]+)\\*\\*" "<strong>\\1</strong>")
          (cons #px"\\*([^*]+)\\*" "<em>\\1</em>")
          (cons #px"`([^`]+)`" "<code>\\1</code>")
          (cons #px"\\[([^]]+)\\]\\(([^)]+)\\)" "<a href=\"\\2\">\\1</a>")))
  (for/fold ([s s]) ([st steps]) (regexp-replace* (car st) s (cdr st))))
(define (classify line)
  (cond
    [(regexp-match #px"^(#+) (.*)$" line) => (λ (m) (list 'heading (string-length (second m)) (third m)))]
    [(regexp-match #px"^- (.*)$" line) => (λ (m) (list 'bullet (second m)))]
    [(regexp-match #px"^\\d+\\. (.*)$" line) => (λ (m) (list 'number (second m)))]
    [(regexp-match #px"^> (.*)$" line) => (λ (m) (list 'quote (second m)))]
    [(string=? line "") '(blank)]
    [else (list 'text line)]))
(define (blocks lines)
  (match lines
    ['() '()]
    [(list (list 'bullet items) ..1 rest ...) (cons (list 'ul items) (blocks rest))]
    [(list (list 'number items) ..1 rest ...) (cons (list 'ol items) (blocks rest))]
    [(cons '(blank) rest) (blocks rest)]
    [(cons b rest) (cons b (blocks rest))]))
(define (render b)
  (match b
    [`(heading ,n ,t) (format "<h~a>~a</h~a>" n (inline t) n)]
    [(list (and tag (or 'ul 'ol)) items)
     (string-append (format "<~a>\n" tag) (string-append* (map (λ (i) (format "  <li>~a</li>\n" (inline i))) items)) (format "</~a>" tag))]
    [(list 'quote t) (format "<blockquote>~a</blockquote>" t)]
    [(list 'text t) (format "<p>~a</p>" (inline t))]))
(define parsed (map classify (string-split md "\n" #:trim? #f)))
(for-each (compose displayln render) (blocks parsed))
(length parsed)
(first parsed)
(remove-duplicates (map first parsed))
(string-split "a\n\nb" "\n")
(string-split "a\n\nb" "\n" #:trim? #f)
(regexp-match #px"^(\\s*)(\\S.*)$" "   indented")
