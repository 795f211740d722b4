;; ports.scm — the current ports, display and write, string ports with procedures.
;;
;; The current ports are parameters. C's port primitives called without a port use the ports of
;; %set-default-ports!, so every name that takes an optional port is wrapped here and passes the
;; parameter's value on.

(define current-input-port (make-parameter (%default-port 0) #f 'current-input-port))
(define current-output-port (make-parameter (%default-port 1) #f 'current-output-port))
(define current-error-port (make-parameter (%default-port 2) #f 'current-error-port))

;; (current-output-port) by the short way, for the procedures below.
(define (%output-port) (%parameter-value current-output-port))
(define (%input-port) (%parameter-value current-input-port))

;; ---- printing: records with a printer of their own make %print stop and ask ----

;; While a record's own printer runs, (%print-mode) tells it how: 0 display, 1 write, 2 print, 3 write as R7RS
;; has it.
(define %current-print-mode 0)
(define (%print-mode) %current-print-mode)

(define (%->string value mode labels)
  (let loop ((result (%print value mode labels)))
    (if (string? result)
        result
        (let* ((record (%print-record result))
               (shown (begin (set! %current-print-mode mode)
                             ((%rtd-printer (%record-rtd record)) record))))
          (loop (%print-give result (if (string? shown) shown (%->string shown mode labels))))))))

;; As write shows it.
(define (%written value) (%->string value 1 0))

;; The printer takes some setting up: what is text already, or nearly so, goes past it.
(define (display value [port (%output-port)])
  (%write-string (cond ((string? value) value)
                     ((number? value) (number->string value))
                     ((symbol? value) (symbol->string value))
                     (else (%->string value 0 0)))
               port))
(define (write value [port (%output-port)])
  (%write-string (if (number? value) (number->string value) (%->string value 1 0)) port))
(define (write-shared value [port (%output-port)])
  (%write-string (%->string value 1 1) port))
(define (write-simple value [port (%output-port)])
  (%write-string (%->string value 1 2) port))

;; What (scheme write) exports: a symbol with bars or backslashes in its name stands in bars.
(define (%standard-write value [port (%output-port)]) (%write-string (%->string value 3 0) port))
(define (%standard-write-shared value [port (%output-port)]) (%write-string (%->string value 3 1) port))
(define (%write/ss value [port (%output-port)] [cycles-only? #f])       ; SRFI 38's
  (if cycles-only? (%standard-write value port) (%standard-write-shared value port)))
(define (%standard-write-simple value [port (%output-port)]) (%write-string (%->string value 3 2) port))

;; What the core leaves of newline, write-char and write-string: the current output port, ports with handlers, ranges.
(define (%newline-otherwise [port (%output-port)]) (%newline port))
(define (%write-char-otherwise char [port (%output-port)]) (%write-char char port))
(define %write-string-otherwise          ; gives how many, as in Racket; R7RS leaves it open
  (case-lambda
    ((string) (%write-string string (%output-port)) (string-length string))
    ((string port) (%write-string string port) (string-length string))
    ((string port start) (%write-string string port start) (- (string-length string) start))
    ((string port start end) (%write-string string port start end) (- end start))))
(define-values (write-u8 write-bytevector flush-output-port)
  (let ((c-write-u8 write-u8) (c-write-bytevector write-bytevector)
        (c-flush flush-output-port))
    (values
     (lambda (byte [port (%output-port)]) (c-write-u8 byte port))
     (lambda (bytes [port (%output-port)] [start 0] [end (bytevector-length bytes)])
       (c-write-bytevector bytes port start end))
     (lambda ([port (%output-port)]) (c-flush port)))))
(define flush-output flush-output-port)

(define-values (read-char peek-char read-line read-string read-u8 peek-u8 u8-ready? char-ready?
                read-bytevector read-bytevector!)
  (let ((c-read-char read-char) (c-peek-char peek-char) (c-read-line read-line)
        (c-read-string read-string) (c-read-u8 read-u8) (c-peek-u8 peek-u8)
        (c-u8-ready? u8-ready?) (c-char-ready? char-ready?)
        (c-read-bytevector read-bytevector) (c-read-bytevector! read-bytevector!))
    (values
     (lambda ([port (%input-port)])
       (if (binary-port? port) (%bytes-read-char port) (c-read-char port)))
     (lambda ([port (%input-port)])
       (if (binary-port? port) (%bytes-peek-char port) (c-peek-char port)))
     ;; as R7RS has it, a line ends with LF, CR or both; Racket's other modes on request. In Chibi's
     ;; libraries a number stands there, how long a line they expect: lines of any length come whole.
     (lambda ([port (%input-port)] [mode 'any])
       (let ((mode (if (exact-integer? mode) 'any mode)))
         (if (binary-port? port) (%bytes-read-line port mode) (c-read-line port mode))))
     (lambda (k [port (%input-port)])
       (if (binary-port? port) (%bytes-read-string k port) (c-read-string k port)))
     (lambda ([port (%input-port)]) (c-read-u8 port))
     (lambda ([port (%input-port)]) (c-peek-u8 port))
     (lambda ([port (%input-port)]) (c-u8-ready? port))
     (lambda ([port (%input-port)]) (c-char-ready? port))
     (lambda (k [port (%input-port)]) (c-read-bytevector k port))
     (lambda (bytes [port (%input-port)] [start 0] [end (bytevector-length bytes)])
       (c-read-bytevector! bytes port start end)))))

;; Chibi's ports are both textual and binary, and its libraries read headers as text: a binary
;; port that is read as text gives the characters of its bytes as UTF-8.
(define (%bytes-read-char port)
  (let ((b (read-u8 port)))
    (cond ((eof-object? b) b)
          ((< b #x80) (integer->char b))
          (else
           (let loop ((bytes (%list b)) (more (cond ((>= b #xf0) 3) ((>= b #xe0) 2) ((>= b #xc0) 1) (else 0))))
             (if (or (= more 0) (eof-object? (peek-u8 port)))
                 (string-ref (bytes->string/utf-8 (apply bytevector (reverse bytes)) #\xfffd) 0)
                 (loop (cons (read-u8 port) bytes) (- more 1))))))))
(define (%bytes-peek-char port)
  (let ((b (peek-u8 port))) (if (eof-object? b) b (integer->char b))))
(define (%bytes-read-string k port)
  (let loop ((n 0) (chars '()))
    (let ((c (if (< n k) (%bytes-read-char port) (eof-object))))
      (cond ((not (eof-object? c)) (loop (+ n 1) (cons c chars)))
            ((and (= n 0) (> k 0)) c)
            (else (list->string (reverse chars)))))))
(define (%bytes-read-line port mode)
  (if (not (memq mode '(linefeed return return-linefeed any any-one)))
      (%err-type 'read-line 1 "linefeed, return, return-linefeed, any or any-one" mode))
  (define (next-is-linefeed?) (eqv? (peek-u8 port) 10))
  (let loop ((chars '()))
    (let ((c (%bytes-read-char port)))
      (define (line) (list->string (reverse chars)))
      (cond ((eof-object? c) (if (null? chars) c (line)))
            ((eqv? c #\newline) (if (memq mode '(linefeed any any-one)) (line) (loop (cons c chars))))
            ((not (eqv? c #\return)) (loop (cons c chars)))
            ((memq mode '(return any-one)) (line))
            ((eq? mode 'linefeed) (loop (cons c chars)))
            ((next-is-linefeed?) (read-u8 port) (line))
            ((eq? mode 'any) (line))
            (else (loop (cons c chars)))))))

(define (read [port (%input-port)]) (%read port))

;; ---- ports and procedures ----

(define (call-with-port port f)
  (let ((result (f port)))
    (close-port port)
    result))

(define (call-with-output-string f)
  (let ((port (open-output-string)))
    (f port)
    (get-output-string port)))

(define (call-with-input-string string f) (f (open-input-string string)))

(define (with-output-to-string thunk)
  (let ((port (open-output-string)))
    (parameterize ((current-output-port port)) (thunk))
    (get-output-string port)))

(define (with-input-from-string string thunk)
  (parameterize ((current-input-port (open-input-string string))) (thunk)))

(define (with-error-to-string thunk)
  (let ((port (open-output-string)))
    (parameterize ((current-error-port port)) (thunk))
    (get-output-string port)))
