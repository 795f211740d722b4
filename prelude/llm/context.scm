;; llm/context.scm — the texts that the embedder loaded. They stay with the host: `context` and
;; get-context copy a whole one in, the rest works on pieces.

;; `context` is a lazy global: its cell is unbound until it is first used. %context-cells are the
;; cells that were filled, so that a replaced context can be fetched again.
(define %context-cells '())
(%lazy! 'context)
(define (%default-context)
  (let ((text (%whole-context #f)))
    (or text
        (%fail 'exn:fail:contract:variable
               "context: no context is loaded; give one with load_context, or --context FILE"))))

(%set-hook! 'lazy
  (lambda (cell)
    (let ((text (%default-context)))
      (set! %context-cells (cons cell %context-cells))
      (%set-cell-value! cell text)
      text)))

;; A whole text, or #f; a long one comes in pieces, so that it may be longer than a message, unless the host says
;; that it is not.
(define (%whole-context name)
  (let ((length (%request "context-size" name)))
    (cond ((not length) #f)
          ((or (<= length 8388608) (%request "context-fits" name)) (%request "context" name))
          (else
           (let loop ((start 0) (pieces '()))
             (if (>= start length)
                 (%string-concatenate (reverse pieces))
                 (let ((end (min length (+ start 8388608))))
                   (loop end (cons (%request "context-slice" start end name) pieces)))))))))

;; The host says that the default context is another one now.
(define (%context-replaced!)
  (if (pair? %context-cells)
      (let ((text (%default-context)))
        (for-each (lambda (cell) (%set-cell-value! cell text)) %context-cells))))

(define (%context-name who name)
  (cond ((not name) #f)
        ((string? name) name)
        ((symbol? name) (symbol->string name))
        (else (%fail 'exn:fail:contract
                     (string-append (symbol->string who) ": a context's name must be a string, got " (%bounded-text name))))))

;; A name that is no context is an error that says which there are, unless there is a default.
(define (get-context [name #f] [otherwise %none])
  (let ((text (%whole-context (%context-name 'get-context name))))
    (cond (text text)
          ((eq? otherwise %none) (%request "context-length" name)) ; which raises the host's words
          ((procedure? otherwise) (otherwise))
          (else otherwise))))
(define (context-names) (%request "context-names"))
(define (context-length [name #f]) (%request "context-length" (%context-name 'context-length name)))

(define (%check-range who start end)
  (if (not (and (exact-integer? start) (exact-integer? end) (<= 0 start end)))
      (%fail 'exn:fail:contract
             (string-append (symbol->string who) ": expected 0 <= start <= end, got "
                            (%bounded-text start) " and " (%bounded-text end)))))

;; What there is of the range: a slice beyond the end is shorter, or empty.
(define (context-slice start end [name #f])
  (%check-range 'context-slice start end)
  (%request "context-slice" start end (%context-name 'context-slice name)))

;; Lines start..end (from 0, end not included).
(define (context-lines start end [name #f])
  (%check-range 'context-lines start end)
  (%request "context-lines" start end (%context-name 'context-lines name)))

;; A list of (offset . line) for each line that has the pattern: where its first hit is in the text, and
;; the line, of a long one the part around the hit. A string is looked for as it stands, by the host; a
;; regexp is run here over pieces of the text, so that it costs the program's own fuel.
(define (context-search pattern [name #f] #:max [most 1000])
  (if (not (and (exact-integer? most) (> most 0)))
      (%fail 'exn:fail:contract (string-append "context-search: #:max must be a positive integer, got " (%bounded-text most))))
  (let ((name (%context-name 'context-search name)))
    (cond ((string? pattern)
           (let ((hits (%request "context-search" pattern most name)))
             (if (null? hits) (%warn-of-pattern 'context-search pattern))
             (map (lambda (hit) (cons (car hit) (cadr hit))) hits)))
          ((regexp? pattern) (%search-by-regexp pattern name most))
          (else (%err-type 'context-search 0 "string or regexp" pattern)))))

(define %piece 262144)
(define %shown-of-line 2000) ; as the host shows

(define (%search-by-regexp rx name most)
  (let ((total (%request "context-length" name)))
    (let loop ((start 0) (found '()) (count 0))
      (if (or (>= start total) (>= count most))
          (reverse found)
          (let* ((end (min total (+ start %piece)))
                 (text (%request "context-slice" start end name))
                 ;; whole lines only, except where a line is longer than a piece
                 (last-newline (and (< end total) (%string-last-index-of text "\n")))
                 (used (if last-newline (+ last-newline 1) (- end start))))
            (let each ((lines (%string-split (substring text 0 (if last-newline last-newline used)) "\n" #f #f))
                       (at start) (found found) (count count))
              (if (or (null? lines) (>= count most))
                  (loop (+ start used) found count)
                  (let* ((line (car lines)) (next (+ at (string-length line) 1))
                         (hit (%regexp-exec rx line 0 (string-length line))))
                    (if hit
                        (each (cdr lines) next
                              (cons (cons (+ at (vector-ref hit 0)) (%around-hit line (vector-ref hit 0))) found)
                              (+ count 1))
                        (each (cdr lines) next found count))))))))))

(define (%around-hit line at)
  (let* ((length (string-length line))
         (end (if (and (> length 0) (char=? (string-ref line (- length 1)) #\return)) (- length 1) length))
         (start (if (<= end %shown-of-line) 0 (max 0 (min (- at (quotient %shown-of-line 4)) (- end %shown-of-line))))))
    (substring line start (min end (+ start %shown-of-line)))))

;; A literal text that was not found, and reads like a regular expression.
(define %pattern-like #px"\\\\[dDwWsSbBnt.]|\\.[*+]|\\[[^\\]]+\\][*+]?|[^|]\\|[^|]|^\\^|\\$$|\\(\\?|\\)[*+?]")
(define (%warn-of-pattern who pattern)
  (if (%regexp-exec %pattern-like pattern 0 (string-length pattern))
      (let ((shown (%bounded-text pattern)))
        (%warn! (symbol->string who) ": found nothing; " shown " is a string, which is looked for as it stands."
                " For a pattern write #px" shown "."))))

;; The whole text in pieces of `size` characters, each beginning `overlap` characters before the
;; last one's end. Fetched some megabytes at a time.
(define (context-chunks size [overlap 0] [name #f])
  (if (not (and (exact-integer? size) (> size 0))) (%err-type 'context-chunks 0 "positive integer" size))
  (if (not (and (exact-integer? overlap) (<= 0 overlap))) (%err-type 'context-chunks 1 "non-negative integer" overlap))
  (if (>= overlap size)
      (%fail 'exn:fail:contract
             (string-append "context-chunks: the overlap (" (number->string overlap)
                            ") must be smaller than the size (" (number->string size) ")")))
  (let* ((name (%context-name 'context-chunks name)) (total (%request "context-length" name)) (step (- size overlap))
         (fetched (max size 4194304)))
    (let loop ((start 0) (text "") (text-start 0) (chunks '()))
      (let ((end (min total (+ start size))))
        (cond ((>= start total) (if (null? chunks) (list "") (reverse chunks)))
              ((> end (+ text-start (string-length text)))
               (loop start (%request "context-slice" start (min total (+ start fetched)) name) start chunks))
              (else
               (let ((chunks (cons (substring text (- start text-start) (- end text-start)) chunks)))
                 (if (= end total) (reverse chunks) (loop (+ start step) text text-start chunks)))))))))

;; ---- arguments ----

;; Those of --arg NAME=VALUE by name, in a table. A host that has some grants a procedure of this name.
(define (args) (hash))
