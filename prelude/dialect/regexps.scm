;; Regular expressions: Racket's procedures over the core's engine (regexp_*.c). A pattern is a
;; regexp, or a string that is compiled as `regexp` does; the input is a string, a byte string or
;; an input port. Of a port a match takes what is before it and the match, and gives bytes, as a byte pattern does; what
;; does not match takes all.

(define (regexp pattern . ignored)
  (cond ((string? pattern) (%warn-of-letters pattern) (%make-regexp pattern #f))
        ((regexp? pattern) pattern)
        (else (raise-argument-error 'regexp "string?" pattern))))
(define (pregexp pattern . ignored)
  (cond ((string? pattern) (%make-regexp pattern #t))
        ((regexp? pattern) pattern)
        (else (raise-argument-error 'pregexp "string?" pattern))))
;; In #rx, and so in a pattern that is a string, a backslash makes a letter of a letter.
(define %letter-class (%make-regexp "\\\\[dDwWsSbBpPntr]" #t))
(define %line-class (%make-regexp "\\\\[ntr]" #t))
(define (%warn-of-letters pattern)
  (if (and (%string-index-of pattern "\\") (%regexp-match? %letter-class pattern))
      (let ((shown (%shown pattern 80)))
        (%warn! "regexp: in " shown " a backslash before a letter means that letter, as in #rx."
                (if (%regexp-match? %line-class pattern)
                    " For a line's end, a return or a tab write one backslash alone: \"\\n\"."
                    (string-append " For a class of characters write #px" shown " or (pregexp " shown ")."))))))
(define (byte-regexp pattern) (%make-regexp (%bytes-text pattern) #f #t))
(define (byte-pregexp pattern) (%make-regexp (%bytes-text pattern) #t #t))
(define (byte-pregexp? v) (and (byte-regexp? v) (pregexp? v)))
(define (%bytes-text b) (if (bytes? b) (bytes->string/latin-1 b) b))
(define (object-name v)
  (cond ((regexp? v) (%regexp-source v))
        ((procedure? v) (%procedure-name v))
        ((%record? v) (%rtd-name (%record-rtd v)))
        (else #f)))

(define (%pattern who rx)
  (cond ((regexp? rx) rx)
        ((string? rx) (regexp rx))
        ((bytes? rx) (byte-regexp rx))
        (else (raise-argument-error who "(or/c regexp? byte-regexp? string? bytes?)" 0 rx))))
(define (%input who rx input)
  (cond ((string? input) input)
        ((bytes? input) (bytes->string/latin-1 input))
        ((input-port? input) (if (textual-port? input) (%port->string input) (bytes->string/latin-1 (port->bytes input))))
        ((syntax? input)
         (%contract-error (string-append (symbol->string who) ": contract violation\n  expected: string?\n  given: " (%shown input 80))
                          "This is the result of an LLM call: unwrap its text with (syntax-e …)."))
        (else (raise-argument-error who "(or/c string? bytes? path? input-port?)" 1 rx input))))
;; results over bytes are bytes again, and so are those over ports and those of a byte pattern
(define (%as-input input [rx #f])
  (cond ((or (bytes? input) (and (input-port? input) (binary-port? input)))
         (lambda (piece) (and piece (string->bytes/latin-1 piece))))
        ((or (input-port? input) (byte-regexp? rx))
         (lambda (piece) (and piece (string->bytes/utf-8 piece))))
        (else #f)))

;; What is left in a port, and a procedure that takes so much of it.
(define (%peek-all port)
  (define all 1073741823)
  (if (textual-port? port)
      (let ((text (peek-string all 0 port)))
        (values (if (eof-object? text) "" text) (lambda (n) (if (> n 0) (read-string n port)))))
      (let ((bytes (%peek-bytes all 0 port)))
        (values (if (eof-object? bytes) "" (bytes->string/latin-1 bytes)) (lambda (n) (if (> n 0) (read-bytevector n port)))))))
;; (found text match) is the result, #f where the pattern does not match.
(define (%match-port rx port start end prefix take-failed? take-found? found)
  (let-values (((text take) (%peek-all port)))
    (let* ((end (if end (min end (string-length text)) (string-length text)))
           (m (and (<= start end) (%regexp-exec rx text start end (%prefix prefix)))))
      (cond (m (if take-found? (take (vector-ref m 1))) (found text m))
            (else (if take-failed? (take end)) #f)))))
(define (%groups-of port rx)
  (let ((convert (%as-input port rx)))
    (lambda (text m)
      (map (lambda (p) (and p (convert (substring text (car p) (cdr p))))) (%positions m)))))

(define (%regexp-match-otherwise rx input [start 0] [end #f] [output #f] [prefix ""])
  (let ((rx (%pattern 'regexp-match rx)))
    (if (input-port? input)
        (%match-port rx input start end prefix #t #t (%groups-of input rx))
        (let* ((s (%input 'regexp-match rx input)) (convert (%as-input input rx))
               (found (%regexp-match-strings rx s start (or end (string-length s)) (%prefix prefix))))
          (if (and found convert) (map convert found) found)))))
(define (%prefix p) (if (bytes? p) (bytes->string/latin-1 p) p))

(define (%regexp-match?-otherwise rx input [start 0] [end #f] [output #f] [prefix ""])
  (let ((rx (%pattern 'regexp-match? rx)))
    (if (input-port? input)
        (%match-port rx input start end prefix #t #t (lambda (text m) #t))
        (let ((s (%input 'regexp-match? rx input)))
          (%regexp-match? rx s start (or end (string-length s)) (%prefix prefix))))))

(define (regexp-match-exact? rx input)
  (let* ((rx (%pattern 'regexp-match-exact? rx)) (s (%input 'regexp-match-exact? rx input))
         (m (%regexp-exec rx s)))
    (and m
         (or (and (= (vector-ref m 0) 0) (= (vector-ref m 1) (string-length s)))
             ;; another alternative may reach the end
             (%regexp-match? (%make-regexp (string-append "^(?:" (%regexp-source rx) ")$") (pregexp? rx)) s)))))

(define (regexp-match-positions rx input [start 0] [end #f] [output #f] [prefix ""])
  (let ((rx (%pattern 'regexp-match-positions rx)))
    (if (input-port? input)
        (%match-port rx input start end prefix #t #t (lambda (text m) (%positions m)))
        (let ((s (%input 'regexp-match-positions rx input)))
          (%positions (%regexp-exec rx s start (or end (string-length s)) (%prefix prefix)))))))
(define (%positions m)
  (and m
       (let loop ((i (- (vector-length m) 2)) (pairs '()))
         (if (< i 0) pairs
             (loop (- i 2) (cons (and (vector-ref m i) (cons (vector-ref m i) (vector-ref m (+ i 1)))) pairs))))))


(define %regexp-match*-otherwise
  (case-lambda
    ((rx input)
     (let* ((rx (%pattern 'regexp-match* rx)) (s (%input 'regexp-match* rx input)) (convert (%as-input input rx))
            (found (%regexp-match-all-strings rx s)))
       (if convert (map convert found) found)))
    ((rx input . options) (apply %regexp-match*-with rx input options))))
(define %regexp-match*-with ; errors show it under the public name
  (let ()
    (define (regexp-match* rx input [start 0] [end #f] [prefix ""] #:match-select [select car] #:gap-select? [gaps? #f])
      (let* ((rx (%pattern 'regexp-match* rx)) (s (%input 'regexp-match* rx input)) (convert (or (%as-input input rx) values))
             (end (or end (string-length s)))
             ;; which group, where one is selected as usual: then what is found is made a string at once
             (group (and (not gaps?) (not (%as-input input rx)) (%selected-group select rx)))
             (matches (if group '() (%regexp-exec-all rx s start end (%prefix prefix) #t))))
        (define (text from to) (convert (substring s from to)))
        (define (groups m) (map (lambda (p) (and p (text (car p) (cdr p)))) (%positions m)))
        (cond
          (group (%regexp-match-all-strings rx s start end (%prefix prefix) group))
          ((not gaps?) (map (lambda (m) (select (groups m))) matches))
          (else
            (let loop ((matches matches) (at start) (items '()))
              (if (null? matches)
                  (reverse (cons (text at end) items))
                  (let* ((m (car matches)) (picked (select (groups m))))
                    (loop (cdr matches) (vector-ref m 1)
                          (append (if (list? picked) (reverse picked) (list picked))
                                  (list (text at (vector-ref m 0))) items)))))))))
    regexp-match*))
(define (%selected-group select rx)
  (cond ((eq? select values) #t)
        ((eq? select car) 0)
        ((and (or (eq? select cadr) (eq? select second)) (>= (%regexp-groups rx) 1)) 1)
        ((and (or (eq? select caddr) (eq? select third)) (>= (%regexp-groups rx) 2)) 2)
        (else #f)))

(define (regexp-match-positions* rx input [start 0] [end #f] [prefix ""] #:match-select [select car])
  (let* ((rx (%pattern 'regexp-match-positions* rx)) (s (%input 'regexp-match-positions* rx input)))
    (map (lambda (m) (select (%positions m)))
         (%regexp-exec-all rx s start (or end (string-length s)) (%prefix prefix) #t))))

(define (%regexp-split-otherwise rx input [start 0] [end #f] [prefix ""])
  (let* ((rx (%pattern 'regexp-split rx)) (s (%input 'regexp-split rx input)) (convert (%as-input input rx))
         (pieces (%regexp-split rx s start (or end (string-length s)) (%prefix prefix))))
    (if convert (map convert pieces) pieces)))

;; ---- replacing: by a template (& \0 \1 \\), or by a procedure of the match and its groups ----
(define (%regexp-replace-otherwise rx input insert [prefix ""]) (%replace 'regexp-replace rx input insert #f 0 #f prefix))
(define (%regexp-replace*-otherwise rx input insert [start 0] [end #f] [prefix ""])
  (%replace 'regexp-replace* rx input insert #t start end prefix))

(define (%replace who rx input insert all? start end prefix)
  (let* ((rx (%pattern who rx)) (s (%input who rx input)) (convert (%as-input input rx))
         (end (or end (string-length s)))
         (result
          (cond ((string? insert) (%regexp-replace rx s insert all? start end (%prefix prefix)))
                ((bytes? insert) (%regexp-replace rx s (bytes->string/latin-1 insert) all? start end (%prefix prefix)))
                ((procedure? insert) (%replace-by rx s insert all? start end (%prefix prefix) convert))
                (else (raise-argument-error who "(or/c string? bytes? procedure?)" 2 rx input insert)))))
    (if convert (convert result) result)))

(define (%replace-by rx s f all? start end prefix convert)
  (define (group p) (and p (let ((text (substring s (car p) (cdr p)))) (if convert (convert text) text))))
  (define matches
    (if all?
        (%regexp-exec-all rx s start end prefix #t)
        (let ((m (%regexp-exec rx s start end prefix))) (if m (list m) '()))))
  (let loop ((matches matches) (at 0) (pieces '()))
    (if (null? matches)
        (%string-concatenate (reverse (cons (substring s at (string-length s)) pieces)))
        (let* ((m (car matches))
               (made (apply f (map group (%positions m))))
               (text (cond ((string? made) made)
                           ((bytes? made) (bytes->string/latin-1 made))
                           (else (raise-result-error 'regexp-replace* "string?" made)))))
          (loop (cdr matches) (vector-ref m 1) (cons text (cons (substring s at (vector-ref m 0)) pieces)))))))

(define (regexp-replaces input replacements)
  (let loop ((s input) (rest replacements))
    (if (null? rest) s (loop (regexp-replace* (caar rest) s (cadar rest)) (cdr rest)))))
;; a match takes what it matched, a failure nothing; and neither takes anything
(define (regexp-try-match rx port [start 0] [end #f] [output #f] [prefix ""])
  (let ((rx (%pattern 'regexp-try-match rx)))
    (%match-port rx port start end prefix #f #t (%groups-of port rx))))
(define (regexp-match-peek rx port [start 0] [end #f] [output #f] [prefix ""])
  (let ((rx (%pattern 'regexp-match-peek rx)))
    (%match-port rx port start end prefix #f #f (%groups-of port rx))))
(define (regexp-match-peek-positions rx port [start 0] [end #f] [output #f] [prefix ""])
  (let ((rx (%pattern 'regexp-match-peek-positions rx)))
    (%match-port rx port start end prefix #f #f (lambda (text m) (%positions m)))))
