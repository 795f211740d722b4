;; srfi/115.scm — regular expressions as S-expressions, on the core's own matcher.
;;
;; An SRE is translated to the text of a pregexp, once. Matching never goes through Scheme.

(define-values (%sre-rtd %sre?)
  (let ((rtd (%make-rtd 'regexp #f '#(compiled names source))))
    (values rtd (lambda (x) (%record-is-a? x rtd)))))

;; A match: the string, the vector of positions, the names.
(define-values (%sre-match-rtd regexp-match-object?)
  (let ((rtd (%make-rtd 'regexp-match #f '#(string positions names))))
    (values rtd (lambda (x) (%record-is-a? x rtd)))))

;; ---- translation ----
;; The translator carries two flags, case folding and unicode, and collects the submatch names.

(define %sre-classes
  '((any . "(?s:.)") (nonl . "[^\\n]") (alphabetic . "\\p{L}") (alpha . "\\p{L}")
    (alphanumeric . "[\\p{L}\\p{N}]") (alphanum . "[\\p{L}\\p{N}]") (alnum . "[\\p{L}\\p{N}]")
    (lower-case . "\\p{Ll}") (lower . "\\p{Ll}") (upper-case . "\\p{Lu}") (upper . "\\p{Lu}")
    (title-case . "\\p{Lt}") (title . "\\p{Lt}") (numeric . "\\p{N}") (num . "\\p{N}")
    (punctuation . "\\p{P}") (punct . "\\p{P}") (symbol . "\\p{S}")
    (graphic . "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]") (graph . "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]")
    (printing . "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\s]") (print . "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\s]")
    (whitespace . "\\s") (white . "\\s") (space . "\\s") (control . "[\\x00-\\x1f\\x7f]")
    (cntrl . "[\\x00-\\x1f\\x7f]") (hex-digit . "[0-9a-fA-F]") (xdigit . "[0-9a-fA-F]")
    (ascii . "[\\x00-\\x7f]")
    (bos . "^") (eos . "$") (bol . "(?m:^)") (eol . "(?m:$)")
    (bow . "(?:\\b(?=\\w))") (eow . "(?:\\b(?<=\\w))") (nwb . "\\B")
    (word . "\\b\\w+\\b") (grapheme . "\\X")))

(define (%sre-bad sre) (error "not a regular expression:" sre))

(define (%sre-group text) (string-append "(?:" text ")"))

;; names: a box with the reversed list of (name . number); counter in its car.
(define (%sre->text sre state)
  (define (each sres) (%string-concatenate (map (lambda (s) (%sre->text s state)) sres)))
  (define (one sres) (%sre-group (each sres)))
  (define (repeat text low high lazy?)
    (string-append text
                   (cond ((and (= low 0) (not high)) "*")
                         ((and (= low 1) (not high)) "+")
                         ((and (= low 0) (eqv? high 1)) "?")
                         ((not high) (string-append "{" (number->string low) ",}"))
                         ((= low high) (string-append "{" (number->string low) "}"))
                         (else (string-append "{" (number->string low) "," (number->string high) "}")))
                   (if lazy? "?" "")))
  ;; A pregexp refuses to repeat what may be empty; any number of what is not empty matches the same.
  (define (repeated sres low high lazy?)
    (if (every %sre-nullable? sres)
        (let ((some (%sre-nonempty (cons ': sres))))
          (if (equal? some '(or)) "(?:)" (repeat (%sre-group (%sre->text some state)) 0 high lazy?)))
        (repeat (one sres) low high lazy?)))
  (define (submatch name sres)
    (set-car! state (+ 1 (car state)))
    (when name (set-cdr! state (cons (cons name (car state)) (cdr state))))
    (string-append "(" (each sres) ")"))
  (cond
   ((string? sre) (regexp-quote sre))
   ((char? sre) (regexp-quote (string sre)))
   ((char-set? sre) (%ranges->class (%char-set-ranges sre)))
   ((%sre? sre) (%sre->text (%record-ref sre 2) state))
   ((symbol? sre)
    (let ((known (assq sre %sre-classes)))
      (if known (cdr known) (%sre-bad sre))))
   ((not (and (pair? sre) (list? sre))) (%sre-bad sre))
   ((string? (car sre)) (%ranges->class (%chars->ranges (string->list (car sre)))))
   (else
    (let ((args (cdr sre)))
      (case (car sre)
        ((: seq) (one args))
        ((or) (if (null? args)
                  "(?!)"
                  (%sre-group (%string-join (map (lambda (s) (%sre->text s state)) args) "|"))))
        ((* zero-or-more) (repeated args 0 #f #f))
        ((+ one-or-more) (repeated args 1 #f #f))
        ((? optional) (repeat (one args) 0 1 #f))
        ((*? non-greedy-zero-or-more) (repeated args 0 #f #t))
        ((+? non-greedy-one-or-more) (repeated args 1 #f #t))
        ((?? non-greedy-optional) (repeat (one args) 0 1 #t))
        ((= exactly) (repeated (cdr args) (car args) (car args) #f))
        ((>= at-least) (repeated (cdr args) (car args) #f #f))
        ((** repeated) (repeated (cddr args) (car args) (cadr args) #f))
        ((**? non-greedy-repeated) (repeated (cddr args) (car args) (cadr args) #t))
        (($ submatch) (submatch #f args))
        ((-> submatch-named) (submatch (car args) (cdr args)))
        ((backref) (string-append "\\" (number->string (%sre-group-number (car args) state))))
        ((w/case) (string-append "(?-i:" (each args) ")"))
        ((w/nocase) (string-append "(?i:" (each args) ")"))
        ((w/unicode w/ascii) (one args))
        ((w/nocapture)
         (let ((saved (cons (car state) (cdr state))))
           (let ((text (%sre-group (%string-concatenate (map (lambda (s) (%sre->text (%sre-uncapture s) state)) args)))))
             text)))
        ((look-ahead) (string-append "(?=" (each args) ")"))
        ((neg-look-ahead) (string-append "(?!" (each args) ")"))
        ((look-behind) (string-append "(?<=" (each args) ")"))
        ((neg-look-behind) (string-append "(?<!" (each args) ")"))
        ((word) (string-append "\\b" (one args) "\\b"))
        ((word+) (string-append "\\b(?:" (%sre->text (list 'and '(or alphanumeric "_") (cons 'or args)) state) ")+\\b"))
        ((char-set char-range / or/cset ~ - & and difference complement)
         (%ranges->class (%sre-ranges sre)))
        (else (%sre-bad sre)))))))

(define %sre-zero-width '(bos eos bol eol bow eow nwb))
(define (%sre-body sre) ; of a form that means the sequence of its last parts
  (case (car sre)
    ((-> submatch-named = exactly >= at-least) (cddr sre))
    ((** repeated **? non-greedy-repeated) (cdddr sre))
    (else (cdr sre))))
(define (%sre-nullable? sre)
  (cond ((string? sre) (string=? sre ""))
        ((symbol? sre) (and (memq sre %sre-zero-width) #t))
        ((%sre? sre) (%sre-nullable? (%record-ref sre 2)))
        ((not (and (pair? sre) (list? sre))) #f)
        (else
         (case (car sre)
           ((* zero-or-more ? optional *? non-greedy-zero-or-more ?? non-greedy-optional
             look-ahead neg-look-ahead look-behind neg-look-behind) #t)
           ((or) (any %sre-nullable? (cdr sre)))
           ((= exactly >= at-least ** repeated **? non-greedy-repeated)
            (or (eqv? (cadr sre) 0) (every %sre-nullable? (%sre-body sre))))
           ((: seq + one-or-more +? non-greedy-one-or-more $ submatch -> submatch-named w/case w/nocase w/unicode w/ascii w/nocapture)
            (every %sre-nullable? (%sre-body sre)))
           (else #f)))))
;; what matches the same, but for the empty string
(define (%sre-nonempty sre)
  (define never '(or))
  (define (one-of sres)
    (let ((some (filter (lambda (s) (not (equal? s never))) sres)))
      (if (and (pair? some) (null? (cdr some))) (car some) (cons 'or some))))
  (define (sequence sres) ; of parts that may all be empty: the first that is not, and what follows it
    (if (null? sres)
        never
        (let ((first (%sre-nonempty (car sres))))
          (one-of (list (if (or (null? (cdr sres)) (equal? first never)) first (list* ': first (cdr sres)))
                        (sequence (cdr sres)))))))
  (cond ((not (%sre-nullable? sre)) sre)
        ((or (string? sre) (symbol? sre)) never)
        ((%sre? sre) (%sre-nonempty (%record-ref sre 2)))
        (else
         (case (car sre)
           ((or) (one-of (map %sre-nonempty (cdr sre))))
           ((: seq) (sequence (cdr sre)))
           ((* zero-or-more + one-or-more) (list '+ (%sre-nonempty (cons ': (cdr sre)))))
           ((*? non-greedy-zero-or-more +? non-greedy-one-or-more) (list '+? (%sre-nonempty (cons ': (cdr sre)))))
           ((? optional ?? non-greedy-optional) (%sre-nonempty (cons ': (cdr sre))))
           ((= exactly) (list '** 1 (cadr sre) (%sre-nonempty (cons ': (cddr sre)))))
           ((>= at-least) (list '+ (%sre-nonempty (cons ': (cddr sre)))))
           ((** repeated **? non-greedy-repeated)
            (if (eqv? (caddr sre) 0) never (list (car sre) 1 (caddr sre) (%sre-nonempty (cons ': (cdddr sre))))))
           (($ submatch w/case w/nocase w/unicode w/ascii w/nocapture) (list (car sre) (%sre-nonempty (cons ': (cdr sre)))))
           ((-> submatch-named) (list (car sre) (cadr sre) (%sre-nonempty (cons ': (cddr sre)))))
           (else never)))))            ; a look at what is around is empty

(define (%sre-uncapture sre)
  (cond ((and (pair? sre) (memq (car sre) '($ submatch))) (cons ': (map %sre-uncapture (cdr sre))))
        ((and (pair? sre) (memq (car sre) '(-> submatch-named))) (cons ': (map %sre-uncapture (cddr sre))))
        ((pair? sre) (cons (car sre) (map %sre-uncapture (cdr sre))))
        (else sre)))

(define (%sre-group-number name state)
  (if (integer? name)
      name
      (let ((known (assq name (cdr state)))) (if known (cdr known) (%sre-bad (list 'backref name))))))

;; ---- sets of characters inside an SRE ----

(define (%sre-ranges sre)
  (cond
   ((char? sre) (%chars->ranges (list sre)))
   ((and (string? sre) (= 1 (string-length sre))) (%chars->ranges (string->list sre)))
   ((char-set? sre) (%char-set-ranges sre))
   ((symbol? sre)
    (%char-set-ranges
     (case sre
       ((any) char-set:full) ((nonl) (char-set-complement (char-set #\newline)))
       ((alphabetic alpha) char-set:letter)
       ((alphanumeric alphanum alnum) char-set:letter+digit)
       ((lower-case lower) char-set:lower-case) ((upper-case upper) char-set:upper-case)
       ((title-case title) char-set:title-case) ((numeric num) char-set:digit)
       ((punctuation punct) char-set:punctuation) ((symbol) char-set:symbol)
       ((graphic graph) char-set:graphic) ((printing print) char-set:printing)
       ((whitespace white space) char-set:whitespace) ((control cntrl) char-set:iso-control)
       ((hex-digit xdigit) char-set:hex-digit) ((ascii) char-set:ascii)
       (else (%sre-bad sre)))))
   ((and (pair? sre) (string? (car sre))) (%chars->ranges (string->list (car sre))))
   ((pair? sre)
    (let ((args (cdr sre)))
      (case (car sre)
        ((char-set) (%chars->ranges (string->list (car args))))
        ((/ char-range)
         (let loop ((chars (append-map (lambda (x) (if (char? x) (list x) (string->list x))) args)) (acc '()))
           (if (null? chars)
               (%normalize-ranges acc)
               (loop (cddr chars)
                     (cons (cons (char->integer (car chars)) (char->integer (cadr chars))) acc)))))
        ((or : seq) (%normalize-ranges (append-map %sre-ranges args)))
        ((~ complement) (%complement-ranges (%normalize-ranges (append-map %sre-ranges args))))
        ((- difference)
         (%intersect-ranges (%sre-ranges (car args))
                            (%complement-ranges (%normalize-ranges (append-map %sre-ranges (cdr args))))))
        ((& and)
         (fold (lambda (s ranges) (%intersect-ranges ranges (%sre-ranges s))) '((0 . #x10ffff)) args))
        ((w/case w/unicode w/ascii) (%sre-ranges (car args)))
        (else (%sre-bad sre)))))
   (else (%sre-bad sre))))

;; A class of a pregexp, every character that could mean something escaped.
(define (%ranges->class ranges)
  (define (text c)
    (let ((char (integer->char c)))
      (if (memv char '(#\\ #\] #\[ #\^ #\-)) (string #\\ char) (string char))))
  (define (valid r) (not (and (>= (car r) #xd800) (<= (cdr r) #xdfff))))
  (if (null? ranges)
      "(?!)"
      (string-append
       "["
       (%string-concatenate
        (append-map (lambda (r)
                      (let ((low (if (<= #xd800 (car r) #xdfff) #xe000 (car r)))
                            (high (if (<= #xd800 (cdr r) #xdfff) #xd7ff (cdr r))))
                        (if (= low high) (list (text low)) (list (text low) "-" (text high)))))
                    (filter valid ranges)))
       "]")))

;; ---- the procedures ----

(define (srfi-115:regexp sre)
  (if (%sre? sre)
      sre
      (let* ((state (list 0)) (text (%sre->text sre state)))
        (%record %sre-rtd (%make-regexp text #t) (reverse (cdr state)) sre))))
(define-syntax rx
  (syntax-rules () ((_ sre ...) (srfi-115:regexp (quasiquote (: sre ...))))))
(define (srfi-115:regexp? x) (%sre? x))
(define (regexp->sre rx) (%record-ref rx 2))
(define (char-set->sre cs) (list (char-set->string cs)))
(define (valid-sre? x) (%catch (lambda (e) #f) (lambda () (srfi-115:regexp x) #t)))

(define (%sre-exec sre s start end)
  (let* ((rx (srfi-115:regexp sre))
         (positions (%regexp-exec (%record-ref rx 0) s start end (substring s 0 start) 0)))
    (and positions (%record %sre-match-rtd s positions (%record-ref rx 1)))))

(define (regexp-search sre s [start 0] [end (string-length s)]) (%sre-exec sre s start end))
(define (regexp-matches sre s [start 0] [end (string-length s)])
  (%sre-exec (list ': 'bos (if (%sre? sre) (%record-ref sre 2) sre) 'eos)
             (if (and (= start 0) (= end (string-length s))) s (substring s start end))
             0 (- end start)))
(define (regexp-matches? sre s [start 0] [end (string-length s)])
  (and (regexp-matches sre s start end) #t))

(define (srfi-115:regexp-match? x) (regexp-match-object? x))
(define (regexp-match-count m) (- (quotient (vector-length (%record-ref m 1)) 2) 1))
(define (%match-index m field)
  (if (integer? field)
      field
      (let loop ((names (%record-ref m 2)))
        (cond ((null? names) (error "no submatch of that name:" field))
              ((and (eq? (caar names) field)
                    (or (vector-ref (%record-ref m 1) (* 2 (cdar names)))
                        (not (assq field (cdr names)))))
               (cdar names))
              (else (loop (cdr names)))))))
(define (regexp-match-submatch-start m [field 0])
  (vector-ref (%record-ref m 1) (* 2 (%match-index m field))))
(define (regexp-match-submatch-end m [field 0])
  (vector-ref (%record-ref m 1) (+ 1 (* 2 (%match-index m field)))))
(define (regexp-match-submatch m [field 0])
  (let ((start (regexp-match-submatch-start m field)))
    (and start (substring (%record-ref m 0) start (regexp-match-submatch-end m field)))))
(define (regexp-match->list m)
  (map (lambda (i) (regexp-match-submatch m i)) (iota (+ 1 (regexp-match-count m)))))

;; kons gets the index where the last match ended, the match, the string and the accumulator.
(define (regexp-fold sre kons knil s [finish (lambda (from m s acc) acc)] [start 0] [end (string-length s)])
  (let ((rx (srfi-115:regexp sre)))
    (let loop ((at start) (from start) (acc knil))
      (let ((m (and (<= at end) (%sre-exec rx s at end))))
        (if (not m)
            (finish from #f s acc)
            (let ((b (regexp-match-submatch-start m)) (e (regexp-match-submatch-end m)))
              (if (= b e)
                  ;; an empty match: step over a character
                  (if (and (= b from) (> b start))
                      (loop (+ e 1) from acc)
                      (loop (+ e 1) e (kons from m s acc)))
                  (loop e e (kons from m s acc)))))))))

(define (regexp-extract sre s [start 0] [end (string-length s)])
  (reverse (regexp-fold sre
                        (lambda (from m s acc)
                          (let ((text (regexp-match-submatch m)))
                            (if (string=? text "") acc (cons text acc))))
                        '() s (lambda (from m s acc) acc) start end)))
(define (srfi-115:regexp-split sre s [start 0] [end (string-length s)])
  (reverse (regexp-fold sre
                        (lambda (from m s acc)
                          (if (= (regexp-match-submatch-start m) (regexp-match-submatch-end m))
                              acc
                              (cons (substring s (if (pair? acc) from start) (regexp-match-submatch-start m)) acc)))
                        '() s
                        (lambda (from m s acc) (cons (substring s (if (pair? acc) from start) end) acc))
                        start end)))
(define (regexp-partition sre s [start 0] [end (string-length s)])
  (reverse (regexp-fold sre
                        (lambda (from m s acc)
                          (cons* (regexp-match-submatch m)
                                 (substring s from (regexp-match-submatch-start m)) acc))
                        '() s
                        (lambda (from m s acc) (if (and (= from end) (pair? acc)) acc (cons (substring s from end) acc)))
                        start end)))

;; A substitution: a string, a submatch's number or name, pre, post, a procedure, or a list.
(define (%sre-substitute m subst start end)
  (let ((s (%record-ref m 0)))
    (cond ((string? subst) subst)
          ((eq? subst 'pre) (substring s start (regexp-match-submatch-start m)))
          ((eq? subst 'post) (substring s (regexp-match-submatch-end m) end))
          ((or (integer? subst) (symbol? subst)) (or (regexp-match-submatch m subst) ""))
          ((procedure? subst) (%sre-substitute m (subst m) start end))
          ((list? subst) (%string-concatenate (map (lambda (x) (%sre-substitute m x start end)) subst)))
          (else (error "not a substitution:" subst)))))
(define (srfi-115:regexp-replace sre s subst [start 0] [end (string-length s)] [count 0])
  (let loop ((at start) (count count))
    (let ((m (regexp-search sre s at end)))
      (cond ((not m) (substring s start end))
            ((> count 0) (loop (max (+ at 1) (regexp-match-submatch-end m)) (- count 1)))
            (else
             (string-append (substring s start (regexp-match-submatch-start m))
                            (%sre-substitute m subst start end)
                            (substring s (regexp-match-submatch-end m) end)))))))
(define (regexp-replace-all sre s subst [start 0] [end (string-length s)])
  (%string-concatenate
   (reverse
    (regexp-fold sre
                 (lambda (from m s acc)
                   (cons* (%sre-substitute m subst start end)
                          (substring s from (regexp-match-submatch-start m))
                          acc))
                 '() s
                 (lambda (from m s acc) (cons (substring s from end) acc))
                 start end))))
