;; Text made of values: format and printf, ~a ~s ~v ~e ~r, display's relatives.

;; ---- display and its relatives ----
(define (displayln v [port (current-output-port)]) (display v port) (newline port))
(define (writeln v [port (current-output-port)]) (write v port) (newline port))
(define print-as-expression (make-parameter #t))
(define (print v [port (current-output-port)] [depth 0])
  (write-string (%->string v (if (print-as-expression) 2 1) 0) port) (void))
(define (println v [port (current-output-port)] [depth 0])
  (print v port) (newline port))

;; ---- format ----
;; ~a ~s ~v ~e (~.a ~.s ~.v: cut), ~x ~b ~o, ~c, ~n ~%, ~~, and ~ before white space, which is skipped.
;; The destinations of other Lisps are taken too: (format #f text …) and (format #t text …).
(define (format text . args)
  (cond ((string? text) (or (%format-plain text args) (%format-in-steps 'format text args)))
        ((and (boolean? text) (pair? args) (string? (car args)))
         (let ((made (%format 'format (car args) (cdr args))))
           (if text (begin (display made) (void)) made)))
        (else (raise-argument-error 'format "string?" text))))

(define (%format who text args) (or (%format-plain text args) (%format-in-steps who text args)))
(define (%format-in-steps who text args)
  (let ((end (string-length text)))
    (let loop ((at 0) (left args) (pieces '()))
      (let ((tilde (%string-index-of text "~" at)))
        (cond ((not tilde)
               (if (pair? left) (%format-count-error who text args))
               (%string-concatenate (reverse (if (= at end) pieces (cons (substring text at end) pieces)))))
              ((= (+ tilde 1) end)
               (raise (make-exn:fail:contract
                       (string-append (symbol->string who) ": ill-formed pattern string\n  explanation: cannot end in `~`") #f)))
              (else
               (let* ((pieces (if (= at tilde) pieces (cons (substring text at tilde) pieces)))
                      (directive (string-ref text (+ tilde 1)))
                      (mode (case directive ((#\a #\A) 0) ((#\s #\S) 1) ((#\v #\V) 2) (else #f))))
                 (cond ((not mode)
                        (let ((done (%format-directive who text tilde directive left args)))
                          (loop (car done) (cadr done) (cons (cddr done) pieces))))
                       ((null? left) (%format-count-error who text args))
                       (else
                        (if (or (%record? (car left)) (pair? (car left))) (%note-opaque! who (car left)))
                        (loop (+ tilde 2) (cdr left) (cons (%->string (car left) mode 0) pieces)))))))))))

;; What an LLM call gave has no text of its own: in another text there would stand that it is one.
(define (%note-opaque! who v)
  (cond ((pair? v) (%note-opaque! who (if (pair? (car v)) #f (car v))))
        ((syntax? v)
         (%warn! (symbol->string who) ": the result of an LLM call was shown as " (%->string v 0 0)
                 ", not as its text: unwrap it first, with (syntax-e v)."))
        ((handle? v)
         (%warn! (symbol->string who) ": the handle of an LLM call was shown as " (%->string v 0 0)
                 ", not what it stands for: await it first, with (syntax-e (await handle))."))))

;; the rarer ones: (the place after it, the values that are left . the text that it stands for)
(define (%format-directive who text tilde directive left args)
  (define (value convert . next)
    (if (null? left) (%format-count-error who text args))
    (list* (if (pair? next) (car next) (+ tilde 2)) (cdr left) (convert (car left))))
  (case directive
    ((#\e #\E) (value %error-value->string))
    ((#\x #\X) (value (lambda (v) (%format-integer who v 16 args))))
    ((#\o #\O) (value (lambda (v) (%format-integer who v 8 args))))
    ((#\b #\B) (value (lambda (v) (%format-integer who v 2 args))))
    ((#\c #\C)
     (value (lambda (v)
              (if (char? v) (string v) (%format-kind-error who "character" v args)))))
    ((#\n #\N #\%) (list* (+ tilde 2) left "\n"))
    ((#\~) (list* (+ tilde 2) left "~"))
    ((#\.)
     (let ((mode (and (< (+ tilde 2) (string-length text))
                      (assv (string-ref text (+ tilde 2)) '((#\a . 0) (#\A . 0) (#\s . 1) (#\S . 1) (#\v . 2) (#\V . 2))))))
       (if mode
           (value (lambda (v) (%->string v (cdr mode) 0)) (+ tilde 3))
           (%format-tag-error who text tilde args))))
    (else
     (if (char-whitespace? directive)
         (list* (%skip-format-space text (+ tilde 1)) left "")
         (%format-tag-error who text tilde args)))))

;; white space after a tilde is skipped up to and with one line's end and the next line's indentation
(define (%skip-format-space text at)
  (let ((end (string-length text)))
    (let loop ((at at) (newline? #f))
      (cond ((= at end) at)
            ((not (char-whitespace? (string-ref text at))) at)
            ((char=? (string-ref text at) #\newline) (if newline? at (loop (+ at 1) #t)))
            (else (loop (+ at 1) newline?))))))

(define (%error-value->string v) (%cut (%->string v 2 0) 1000))

(define (%format-integer who v radix args)
  (if (and (number? v) (exact? v)) (number->string v radix) (%format-kind-error who "exact integer" v args)))

(define (%shown-args args)
  (if (null? args) ""
      (string-append "; arguments were:" (%string-concatenate (map (lambda (a) (string-append " " (%shown a 80))) args)))))
(define (%format-count-error who text args)
  (%contract-error
   (string-append (symbol->string who) ": format string requires " (number->string (%format-needs text))
                  " arguments, given " (number->string (length args)) (%shown-args args))
   (and (regexp-match? #rx"%[sdif.]|{}" text)
        "A place for a value is written ~a here, as in (printf \"~a items\\n\" n).")))
(define (%format-kind-error who kind v args)
  (raise (make-exn:fail:contract
          (string-append (symbol->string who) ": format string requires a " kind ", given something else\n  bad argument: "
                         (%shown v 80) (%shown-args args)) #f)))
(define (%format-tag-error who text tilde args)
  (raise (%with-hint
          (make-exn:fail:contract
           (string-append (symbol->string who) ": ill-formed pattern string\n  explanation: tag `"
                          (substring text tilde (min (string-length text) (+ tilde 2))) "` not allowed" (%shown-args args)) #f)
          "The directives are ~a (display), ~s (write), ~v (print), ~x ~b ~o (integers), ~c, ~n and ~~. For a number's digits and width use (~r x #:precision 2 #:min-width 8).")))
(define (%format-needs text)
  (let loop ((at 0) (count 0))
    (let ((tilde (%string-index-of text "~" at)))
      (if (or (not tilde) (= (+ tilde 1) (string-length text)))
          count
          (let ((c (string-ref text (+ tilde 1))))
            (loop (+ tilde 2)
                  (if (or (memv c '(#\n #\N #\% #\~)) (char-whitespace? c)) count (+ count 1))))))))

(define (printf text . args)
  (if (not (string? text)) (raise-argument-error 'printf "string?" text))
  (%write-string (%format 'printf text args) (current-output-port)) (void))
(define (eprintf text . args)
  (%write-string (%format 'eprintf text args) (current-error-port)) (void))
(define (fprintf port text . args)
  (if (not (output-port? port)) (raise-argument-error 'fprintf "output-port?" port))
  (%write-string (%format 'fprintf text args) port) (void))

;; ---- ~a ~s ~v ~e ----
(define (%tilde-value mode v)
  (if (and (eqv? mode 0) (string? v))
      v
      (begin
        (if (or (%record? v) (pair? v)) (%note-opaque! '~a v))
        (%->string v mode 0))))
(define (%tilde-values mode joined vs)
  (%string-join (map (lambda (v) (%tilde-value mode v)) vs) joined))

(define (%tilde mode between limit-marker)
  (define (padded #:separator [separator between] #:width [width #f] #:max-width [max-width width]
                  #:min-width [min-width (or width 0)] #:limit-marker [marker limit-marker]
                  #:limit-prefix? [limit-prefix? #f] #:align [align 'left]
                  #:pad-string [pad " "] #:left-pad-string [left-pad pad] #:right-pad-string [right-pad pad] . vs)
    (%pad-text (%limit-text (%tilde-values mode separator vs) max-width marker limit-prefix?)
               min-width align left-pad right-pad))
  (case-lambda
    ((v) (%tilde-value mode v))
    (vs (if (any keyword? vs) (apply padded vs) (%tilde-values mode between vs)))))

(define ~a (%tilde 0 "" ""))
(define ~s (%tilde 1 " " "..."))
(define ~v (%tilde 2 " " "..."))
(define ~e (%tilde 2 " " "..."))
(define ~.a ~a)
(define ~.s ~s)
(define ~.v ~v)

(define (%limit-text text most marker prefix?)
  (cond ((or (not most) (eqv? most +inf.0) (<= (string-length text) most)) text)
        (prefix?
         (let ((keep (max 0 (- most (string-length marker)))))
           (string-append marker (substring text (- (string-length text) keep) (string-length text)))))
        (else (string-append (substring text 0 (max 0 (- most (string-length marker)))) marker))))

(define (%pad-text text width align left-pad right-pad)
  (let ((missing (- width (string-length text))))
    (if (<= missing 0)
        text
        (case align
          ((left) (string-append text (%padding right-pad missing #f)))
          ((right) (string-append (%padding left-pad missing #t) text))
          ((center)
           (let ((left (quotient missing 2)))
             (string-append (%padding left-pad left #t) text (%padding right-pad (- missing left) #f))))
          (else (raise-argument-error '~a "(or/c 'left 'right 'center)" align))))))
;; n characters of repeated pad: on the left from its beginning, on the right up to its end
(define (%padding pad n left?)
  (let ((size (string-length pad)))
    (if (= size 1)
        (make-string n (string-ref pad 0))
        (let ((long (%string-repeat pad (+ (quotient n size) 1))))
          (if left?
              (substring long 0 n)
              (substring long (- (string-length long) n) (string-length long)))))))

;; ---- ~r ----
(define (~r x #:sign [sign #f] #:base [base 10] #:precision [precision 6] #:notation [notation 'positional]
            #:format-exponent [format-exponent #f] #:min-width [min-width 1] #:pad-string [pad " "]
            #:groups [groups '(3)] #:group-sep [group-sep ""] #:decimal-sep [decimal-sep "."])
  (if (not (and (real? x) (rational? x))) (raise-argument-error '~r "rational?" x))
  (let ((radix (if (and (pair? base) (pair? (cdr base)) (eq? (car base) 'up)) (cadr base) base)))
    (if (not (and (exact-integer? radix) (<= 2 radix 36)))
        (raise-argument-error '~r "(or/c (integer-in 2 36) (list/c 'up (integer-in 2 36)))" base)))
  (let* ((radix (if (pair? base) (cadr base) base))
         (upper? (pair? base))
         (magnitude (abs (inexact->exact x)))
         (notation (if (procedure? notation) (notation x) notation))
         (_ (%check-option '~r "(or/c 'positional 'exponential)" notation '(positional exponential)))
         (digits (if (eq? notation 'exponential)
                     (%exponential magnitude radix precision format-exponent decimal-sep)
                     (%positional (abs x) radix precision groups group-sep decimal-sep)))
         (digits (if upper? (string-upcase digits) digits))
         (negative? (or (< x 0) (eqv? x -0.0)))
         (padded (%pad-text digits min-width 'right pad pad)))
    (%with-sign padded (cond (negative? -1) ((zero? x) 0) (else 1)) sign)))

(define (%with-sign digits order sign)
  (define (around part)
    (if (pair? part) (string-append (car part) digits (cadr part)) (string-append part digits)))
  (case sign
    ((#f) (if (< order 0) (string-append "-" digits) digits))
    ((+) (cond ((> order 0) (string-append "+" digits)) ((< order 0) (string-append "-" digits)) (else digits)))
    ((++) (if (< order 0) (string-append "-" digits) (string-append "+" digits)))
    ((parens) (if (< order 0) (string-append "(" digits ")") digits))
    (else
     (if (and (list? sign) (= (length sign) 3))
         (around (cond ((> order 0) (car sign)) ((< order 0) (caddr sign)) (else (cadr sign))))
         (raise-argument-error '~r "(or/c #f '+ '++ 'parens ...)" sign)))))

;; a non-negative exact number rounded to `places` digits, halves away from zero: two values, the
;; integer and the fraction's digits
(define (%rounded-digits magnitude radix places) (%split-digits (floor (+ (* magnitude (expt radix places)) 1/2)) radix places))
;; Of a float Racket takes the part behind the point times the power of ten as a float, too: 0.35 is 0.4 with one digit,
;; although it is a little less than 7/20. Where that product is no number any more it is taken exactly.
(define (%rounded-float-digits magnitude radix places)
  (let* ((whole (floor magnitude)) (product (* (- magnitude whole) (expt radix places))))
    (if (rational? product)
        (%split-digits (+ (* (inexact->exact whole) (expt radix places))
                          (inexact->exact (if (integer? product) product (truncate (+ product 1/2)))))
                       radix places)
        (%rounded-digits (inexact->exact magnitude) radix places))))
(define (%split-digits scaled radix places)
  (let ((unit (expt radix places)))
    (values (quotient scaled unit)
            (if (= places 0) ""
                (let ((fraction (number->string (remainder scaled unit) radix)))
                  (string-append (make-string (- places (string-length fraction)) #\0) fraction))))))

(define (%trim-zeros digits)
  (let loop ((n (string-length digits)))
    (if (and (> n 0) (char=? (string-ref digits (- n 1)) #\0)) (loop (- n 1)) (substring digits 0 n))))

(define (%positional magnitude radix precision groups group-sep decimal-sep)
  (let ((fixed? (pair? precision)) (places (if (pair? precision) (cadr precision) precision)))
    (let-values (((whole fraction) ((if (exact? magnitude) %rounded-digits %rounded-float-digits) magnitude radix places)))
      (let ((fraction (if fixed? fraction (%trim-zeros fraction)))
            (whole (%grouped (number->string whole radix) groups group-sep)))
        (if (and (string=? fraction "") (not fixed?))
            whole
            (string-append whole decimal-sep fraction))))))

;; groups: sizes from the right; the last one repeats
(define (%grouped digits groups separator)
  (if (string=? separator "")
      digits
      (let loop ((end (string-length digits)) (groups groups) (parts '()))
        (let ((start (- end (car groups))))
          (if (<= start 0)
              (%string-join (cons (substring digits 0 end) parts) separator)
              (loop start (if (null? (cdr groups)) groups (cdr groups)) (cons (substring digits start end) parts)))))))

(define (%exponential magnitude radix precision format-exponent decimal-sep)
  (let* ((exact? (pair? precision)) (places (if exact? (cadr precision) precision)))
    (let-values (((exponent whole fraction) (%normalised magnitude radix places)))
      (let ((fraction (if exact? fraction (%trim-zeros fraction))))
        (string-append (number->string whole radix)
                       (if (and (string=? fraction "") (not exact?)) "" (string-append decimal-sep fraction))
                       (cond ((procedure? format-exponent) (format-exponent exponent))
                             (else
                              (let ((shown (number->string (abs exponent) radix)))
                                (string-append (or format-exponent "e") (if (< exponent 0) "-" "+")
                                               (if (= (string-length shown) 1) "0" "") shown)))))))))
;; the exponent such that one digit stands before the point, after rounding too
(define (%normalised magnitude radix places)
  (let loop ((exponent (if (zero? magnitude) 0 (%exponent-of magnitude radix))))
    (let-values (((whole fraction) (%rounded-digits (/ magnitude (expt radix exponent)) radix places)))
      (if (>= whole radix) (loop (+ exponent 1)) (values exponent whole fraction)))))
(define (%exponent-of magnitude radix)
  (let loop ((e 0))
    (cond ((>= magnitude (expt radix (+ e 1))) (loop (+ e 1)))
          ((< magnitude (expt radix e)) (loop (- e 1)))
          (else e))))

;; ---- pretty-print: print, broken over lines where it is too wide ----
;; What does not fit into the line has each of its parts on a line of its own, one column to the right of its
;; bracket. `extra`: so many brackets follow on the same line.
(define pretty-print-columns (make-parameter 79))
(define (pretty-print v [port (current-output-port)] [quote-depth 0] #:newline? [newline? #t])
  (%pretty-to v (if (eqv? quote-depth 1) 1 2) port newline?))
(define (pretty-write v [port (current-output-port)] #:newline? [newline? #t]) (%pretty-to v 1 port newline?))
(define (pretty-display v [port (current-output-port)] #:newline? [newline? #t]) (%pretty-to v 0 port newline?))
(define (%pretty-to v mode port newline?)
  (write-string (%pretty v mode 0 0) port)
  (if newline? (newline port))
  (void))
(define (%check-option who expected v choices)
  (if (not (memq v choices)) (raise-argument-error who expected v)))
(define (pretty-format v [width (pretty-print-columns)] #:mode [mode 'print])
  (%check-option 'pretty-format "(or/c 'print 'write 'display)" mode '(print write display))
  (parameterize ([pretty-print-columns width])
    (%pretty v (case mode ((display) 0) ((write) 1) (else 2)) 0 0)))

;; the text of v, its first line beginning at `column`; mode 2: what is data is quoted
(define (%pretty v mode column extra [plain? #f])
  (let* ((flat (%pretty-flat v mode)) (width (pretty-print-columns))
         (n (string-length flat)) (first (if (> n 0) (string-ref flat 0) #\space)))
    (define (parts head items)
      (%pretty-parts (string-append "(" head) items mode (+ column 1) extra))
    (cond ((or (eq? width 'infinity) (<= (+ column n extra) width)) flat)
          ((and (= mode 2) (char=? first #\') (not (symbol? v)))
           (string-append "'" (%pretty v 1 (+ column 1) extra)))
          ((< mode 2) (%pretty-data v mode column extra flat plain?))
          ((not (char=? first #\()) flat)
          ((list? v) (parts "list" v))
          ((pair? v)
           (let loop ((rest v) (items '()))
             (if (pair? rest)
                 (loop (cdr rest) (cons (car rest) items))
                 (parts (if (pair? (cdr v)) "list*" "cons") (reverse (cons rest items))))))
          ((vector? v) (parts "vector" (vector->list v)))
          ((box? v) (parts "box" (list (unbox v))))
          ((hash? v) (parts (cond ((hash-equal? v) "hash") ((hash-eqv? v) "hasheqv") (else "hasheq"))
                            (append-map (lambda (entry) (list (car entry) (cdr entry))) (hash->list v))))
          ((set? v) (parts (%set-word v) (set->list v)))
          ((struct? v) (parts (symbol->string (%rtd-name (%record-rtd v))) (struct->list v)))
          (else flat))))

;; of a hash table: it has its dot before a list, too
(define-record-type %pretty-entry (%make-pretty-entry key value) %pretty-entry? (key %pretty-entry-key) (value %pretty-entry-value))
(%set-rtd-printer! (%record-rtd (%make-pretty-entry 0 0))
                   (lambda (entry)
                     (let ((mode (%print-mode)))
                       (string-append "(" (%->string (%pretty-entry-key entry) mode 0) " . "
                                      (%->string (%pretty-entry-value entry) mode 0) ")"))))

;; (quote x) is 'x here, as in Racket, which print knows and write does not
(define (%pretty-flat v mode)
  (let ((printed (and (= mode 1) (or (pair? v) (vector? v)) (%->string v 2 0))))
    (if (and printed (char=? (string-ref printed 0) #\'))
        (substring printed 1 (string-length printed))
        (%->string v mode 0))))
(define (%pretty-data v mode column extra flat plain?)
  (define (parts open items)
    (%pretty-parts open items mode (+ column (string-length open)) extra))
  (cond ((and (pair? v) (not (char=? (string-ref flat 0) #\())) ; 'x, ,x and the like
         (let ((mark (substring flat 0 (if (string-prefix? flat ",@") 2 1))))
           (string-append mark (%pretty (cadr v) mode (+ column (string-length mark)) extra))))
        ((and (not plain?) (list? v) (pair? (cdr v)) (symbol? (car v)) (%pretty-style (car v)))
         => (lambda (style) (%pretty-form v mode column extra style)))
        ((pair? v) (parts "(" v))
        ((vector? v) (parts "#(" (vector->list v)))
        ((hash? v)
         (parts (cond ((hash-equal? v) "#hash(") ((hash-eqv? v) "#hasheqv(") (else "#hasheq("))
                (map (lambda (entry) (%make-pretty-entry (car entry) (cdr entry))) (hash->list v))))
        ((%pretty-entry? v)
         (%string-concatenate
          (let ((break (string-append "\n" (make-string (+ column 1) #\space))) (at (+ column 1)))
            (list "(" (%pretty (%pretty-entry-key v) mode at 0) break "." break (%pretty (%pretty-entry-value v) mode at (+ extra 1)) ")"))))
        ((and (struct? v) (not (set? v)) (string-prefix? flat "#(struct:"))
         (parts "#(" (vector->list (struct->vector v))))
        ((and (%record? v) (string-prefix? flat "#s("))
         (parts "#s(" (cons (%rtd-name (%record-rtd v)) (struct->list v))))
        (else flat)))

;; Forms of the language have a layout of their own, as in Racket: how many items stand beside the head, one below the
;; other; which of them, and of those after them, are lists of forms and none themselves; and whether a name may
;; stand before them. What comes after them is two columns to the right of the bracket.
(define (%pretty-style head)
  (case head
    ((lambda λ define define-macro define-syntax syntax-rules shared unless when) '(1 #t #f #f))
    ((if set! set!-values) '(1 #f #f #f))
    ((case class) '(1 #f #t #f))
    ((let letrec let* let-values letrec-values let*-values let-syntax letrec-syntax let-syntaxes letrec-syntaxes) '(1 #t #f #t))
    ((begin begin0) '(0 #f #f #f))
    ((do letrec-syntaxes+values) '(2 #t #f #f))
    ((cond case-lambda) '(#f #t #t #f))
    ((and or import export require require-for-syntax require-for-template provide link public private override rename
          inherit field init)
     '(1000 #f #f #f))
    (else #f)))
(define (%pretty-form v mode column extra style)
  (let* ((beside (car style))
         (name? (and (cadddr style) (symbol? (cadr v)) (pair? (cddr v))))
         (start (string-append (if beside "(" "") (%->string (car v) mode 0) (if name? (string-append " " (%->string (cadr v) mode 0)) "")))
         (right (+ column (string-length start) 1)))
    (if (not beside)
        (%pretty-parts "(" v mode (+ column 1) extra #t)
        (let loop ((rest (if name? (cddr v) (cdr v))) (i 0) (pieces (list start)))
          (if (null? rest)
              (%string-concatenate (reverse (cons ")" pieces)))
              (let ((at (if (< i beside) right (+ column 2))))
                (loop (cdr rest) (+ i 1)
                      (list* (%pretty (car rest) mode at (if (null? (cdr rest)) (+ extra 1) 0) (if (< i beside) (cadr style) (caddr style)))
                             (if (and (= i 0) (> beside 0)) " " (string-append "\n" (make-string at #\space)))
                             pieces))))))))

;; the opening, then each item on a line at `column`; a tail that is no list after a dot. After "(word" the first
;; item has a line of its own, too.
(define (%pretty-parts open items mode column extra [plain? #f])
  (define break (string-append "\n" (make-string column #\space)))
  (define word? (not (char=? (string-ref open (- (string-length open) 1)) #\()))
  (let loop ((rest items) (pieces (if word? (list break open) (list open))))
    (define (item v last?) (%pretty v mode column (if last? (+ extra 1) 0) plain?))
    (cond ((null? rest) (%string-concatenate (reverse (cons ")" pieces))))
          ((not (pair? rest)) (%string-concatenate (reverse (list* ")" (item rest #t) break "." pieces))))
          ((null? (cdr rest)) (loop '() (cons (item (car rest) #t) pieces)))
          (else (loop (cdr rest) (list* break (item (car rest) #f) pieces))))))
