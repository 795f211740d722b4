;; racket/string, where separators may be regular expressions or there are options, and the string
;; names of other Schemes that programs reach for.

(define string-count srfi-13:string-count)
(define string-contains srfi-13:string-contains)
(define string-pad srfi-13:string-pad)

(define (%check-strings who items)
  (if (not (and (list? items) (every string? items)))
      (if (and (list? items) (find (lambda (x) (syntax? x)) items))
          (raise (%with-hint
                  (make-exn:fail:contract
                   (string-append (symbol->string who) ": contract violation\n  expected: (listof string?)\n  given: " (%shown items 120)) #f)
                  "The list holds results of LLM calls: unwrap each with (syntax-e …), as in (map syntax-e results)."))
          (%contract-error
           (string-append (symbol->string who) ": contract violation\n  expected: (listof string?)\n  given: " (%shown items 120))
           (cond ((string? items) "The list comes first: (string-join strings separator).")
                 ((and (list? items) (any json-null? items))
                  "The list holds a JSON null: test for it with (json-null? v), or leave them out with (filter-not json-null? items).")
                 ((list? items) "The items must be strings: (string-join (map ~a items) separator) makes them so.")
                 (else #f))))))

;; What the core's string-join leaves: what is no list of strings, and options.
(define %string-join-otherwise
  (case-lambda
    ((items) (%check-strings 'string-join items))
    ((items separator)
     (%check-strings 'string-join items)
     (raise-argument-error 'string-join "string?" 1 items separator))
    ((items . options) (apply %string-join-with items options))))
(define %string-join-with ; errors show it under the public name
  (let ()
    (define (string-join items [separator " "] #:before-first [first ""] #:before-last [before-last separator]
                               #:after-last [last ""])
      (%check-strings 'string-join items)
      (string-append
       first
       (if (or (null? items) (null? (cdr items)))
           (%string-join items separator)
           (string-append (%string-join (%all-but-last items) separator) before-last (%last-item items)))
       last))
    string-join))

;; A literal text with a class of characters in it, as \\d and \\s are in a pattern, that was not found.
(define (%warn-of-class who s literal)
  (if (and (%string-index-of literal "\\")
           (%regexp-exec #px"\\\\[dDwWsSbBntr]" literal 0 (string-length literal))
           (not (%string-index-of s literal)))
      (let ((shown (%shown literal 80)))
        (%warn! (symbol->string who) ": found nothing; " shown " is a string, which is looked for as it stands."
                (if (%regexp-exec #px"\\\\[ntr]" literal 0 (string-length literal))
                    " For a line's end, a return or a tab write one backslash alone: \"\\n\"."
                    (string-append " For a pattern write #px" shown "."))))))

;; ---- trimming and splitting: the separator is a string, a regexp or (#f) white space ----
(define (%string-trim-otherwise s . options) (apply %string-trim-with s options))
(define %string-trim-with ; errors show it under the public name
  (let ()
    (define (string-trim s [separator #f] #:left? [left? #t] #:right? [right? #t] #:repeat? [repeat? #f])
      (%check-string-argument 'string-trim s)
      (cond ((regexp? separator) (%string-trim-regexp s separator left? right? repeat?))
            ((char? separator) (%string-trim s (string separator) left? right? repeat?))
            (else (%string-trim s separator left? right? repeat?))))
    string-trim))
(define (%check-string-argument who s)
  (cond ((string? s) s)
        ((syntax? s) (raise (%with-hint
                             (make-exn:fail:contract
                              (string-append (symbol->string who) ": contract violation\n  expected: string?\n  given: " (%shown s 80)) #f)
                             "This is the result of an LLM call: unwrap its text with (syntax-e …).")))
        (else (raise-argument-error who "string?" s))))

(define (%string-trim-regexp s separator left? right? repeat?)
  (let* ((n (string-length s))
         (start (if left? (%trimmed-start s separator n repeat?) 0))
         (end (if right? (%trimmed-end s separator start n repeat?) n)))
    (if (< start end) (substring s start end) "")))
;; the place after a match (with repeat?, after all of them) at the start
(define (%trimmed-start s separator n repeat?)
  (let loop ((start 0))
    (let ((m (%regexp-exec separator s start n)))
      (if (and m (= (vector-ref m 0) start) (> (vector-ref m 1) start))
          (if repeat? (loop (vector-ref m 1)) (vector-ref m 1))
          start))))
;; the place before a match that reaches the end
(define (%trimmed-end s separator start n repeat?)
  (let loop ((end n))
    (let ((m (find (lambda (m) (and (= (cdr m) end) (< (car m) end))) (%regexp-exec-all separator s start end))))
      (if m
          (if repeat? (loop (car m)) (car m))
          end))))

(define %string-split-otherwise
  (case-lambda
    ((s) (%check-string-argument 'string-split s))
    ((s separator) (%string-split-at s separator))
    ((s . options) (apply %string-split-with s options))))
(define (%string-split-at s separator)
  (if (not (string? s)) (%check-string-argument 'string-split s))
  (cond ((not (string? separator)) (%string-split-with s separator))
        (else
         (if (%string-index-of separator "\\") (%warn-of-class 'string-split s separator))
         (let ((pieces (%string-split s separator #t #f)))
           (if (and (pair? pieces) (eqv? (string-length separator) 1) (eqv? (string-ref separator 0) #\newline))
               (%warn-of-return (car pieces)))
           pieces))))
;; Lines from the world end with a return, too, which would stay at the end of each.
(define (%warn-of-return line)
  (let ((last (- (string-length line) 1)))
    (if (and (>= last 0) (eqv? (string-ref line last) #\return))
        (%warn! "string-split: the text's lines end with a return and a newline, so each piece ends with a return."
                " Split by #rx\"\\r?\\n\", or trim the pieces."))))
(define %string-split-with ; errors show it under the public name
  (let ()
    (define (string-split s [separator #f] #:trim? [trim? #t] #:repeat? [repeat? (not separator)])
      (%check-string-argument 'string-split s)
      (cond ((regexp? separator)
             (let ((s (if trim? (%string-trim-regexp s separator #t #t repeat?) s)))
               (if (string=? s "") '() (%regexp-split (if repeat? (%repeated separator) separator) s))))
            ((char? separator) (%string-split s (string separator) trim? repeat?))
            (else (%string-split s separator trim? repeat?))))
    string-split))
(define (%repeated rx)
  ((if (pregexp? rx) pregexp regexp) (string-append "(?:" (%regexp-source rx) ")+")))

(define string-normalize-spaces
  (case-lambda
    ((s) (%check-string-argument 'string-normalize-spaces s) (%string-normalize-spaces s))
    ((s separator . options) (apply %normalize-with s separator options))))
(define %normalize-with ; errors show it under the public name
  (let ()
    (define (string-normalize-spaces s separator [space " "] #:trim? [trim? #t] #:repeat? [repeat? #f])
      (%string-join (string-split s separator #:trim? trim? #:repeat? repeat?) space))
    string-normalize-spaces))

(define %string-replace-otherwise
  (case-lambda
    ((s from to) (%string-replace-with s from to #t))
    ((s from to . options)
     (apply (let ((string-replace (lambda (#:all? [all? #t]) (%string-replace-with s from to all?)))) string-replace) options))))
(define (%string-replace-with s from to all?)
  (%check-string-argument 'string-replace s)
  (cond ((string? from)
         (if (not (string? to)) (raise-argument-error 'string-replace "string?" 2 s from to))
         (if (%string-index-of from "\\") (%warn-of-class 'string-replace s from))
         (%string-replace s from to all?))
        ((regexp? from) ((if all? regexp-replace* regexp-replace) from s (regexp-replace-quote to)))
        ((char? from) (%string-replace s (string from) (if (char? to) (string to) to) all?))
        (else (raise-argument-error 'string-replace "(or/c string? regexp?)" 1 s from to))))

;; ---- making ----
(define (build-string n f)
  (let ((s (make-string n)))
    (let loop ((i 0))
      (if (< i n)
          (begin (string-set! s i (f i)) (loop (+ i 1)))
          s))))
(define (string-repeat s n) (%string-repeat s n))
(define (string-lines s) (%string-lines s))

;; ---- searching, as in MIT Scheme ----
(define (string-search-forward pattern s [start 0])
  (or (%string-index-of s pattern start)
      (begin (%warn-of-class 'string-search-forward s pattern) #f)))
(define (string-search-backward pattern s [end (string-length s)])
  (let ((at (%string-last-index-of s pattern 0 end))) (and at (+ at (string-length pattern)))))
(define (string-search-all pattern s)
  (let loop ((start 0) (found '()))
    (let ((at (%string-index-of s pattern start)))
      (if at (loop (+ at 1) (cons at found)) (reverse found)))))

;; ---- bytes and ports ----
(define (port->string [port (current-input-port)] #:close? [close? #f]) (%port->string port))
(define (port->lines [port (current-input-port)] #:line-mode [mode 'any] #:close? [close? #f])
  (if (eq? mode 'any)
      (%port->lines port)
      (let loop ((lines '()))
        (let ((line (read-line port mode)))
          (if (eof-object? line) (reverse lines) (loop (cons line lines)))))))
(define (port->list [read-one read] [port (current-input-port)])
  (let loop ((items '()))
    (let ((item (read-one port)))
      (if (eof-object? item) (reverse items) (loop (cons item items))))))
(define eof (eof-object))
(define read-lines port->lines)
