;; chibi/io.scm — the library (chibi io): folds over ports and ports made of procedures.

(define (%chibi:write-line x [port (current-output-port)])
  (display x port)
  (newline port))

;; Chibi's read-line takes a limit.
(define (%chibi:read-line [port (current-input-port)] [limit #f])
  (if limit
      (let loop ((n 0) (chars '()))
        (let ((c (peek-char port)))
          (cond ((eof-object? c) (if (= n 0) c (list->string (reverse chars))))
                ((eqv? c #\newline) (read-char port) (list->string (reverse chars)))
                ((= n limit) (list->string (reverse chars)))
                (else (read-char port) (loop (+ n 1) (cons c chars))))))
      (read-line port)))

(define (%chibi:port-fold kons knil [read read] [port (current-input-port)])
  (let loop ((acc knil))
    (let ((x (read port)))
      (if (eof-object? x) acc (loop (kons x acc))))))
(define (%chibi:port-fold-right kons knil [read read] [port (current-input-port)])
  (fold-right kons knil (%chibi:port->list read port)))
(define (%chibi:port-map f [read read] [port (current-input-port)])
  (reverse (%chibi:port-fold (lambda (x acc) (cons (f x) acc)) '() read port)))
(define (%chibi:port->list read port) (%chibi:port-map (lambda (x) x) read port))
(define (%chibi:port->sexp-list port) (%chibi:port->list read port))
(define (%chibi:port->string-list port) (%chibi:port->list read-line port))
(define (%chibi:port->string port) (%port->string port))
(define (%chibi:port->bytevector port)
  (let ((bytes (read-bytevector 1073741824 port))) (if (eof-object? bytes) (bytevector) bytes)))

(define (%chibi:read-string! s n [port (current-input-port)])
  (let ((text (read-string n port)))
    (if (eof-object? text)
        0
        (begin (string-copy! s 0 text) (string-length text)))))

(define (%chibi:string-count-chars char s [start 0] [end (string-length s)])
  (%string-count-char s char start end))
(define (%chibi:string-offset s i) i)
(define (%chibi:utf8-ref bytes i) (string-ref (utf8->string bytes i) 0))
(define (%chibi:string->utf8! s) (string->utf8 s))
(define (%chibi:utf8->string! bytes [start 0] [end (bytevector-length bytes)])
  (utf8->string bytes start end))
;; the next (previous) position that starts a character
(define (%continuation-byte? b) (= #x80 (bitwise-and b #xc0)))
(define (%chibi:utf8-next bytes i end)
  (let loop ((i (+ i 1)))
    (cond ((> i end) #f)
          ((and (< i end) (%continuation-byte? (bytevector-u8-ref bytes i))) (loop (+ i 1)))
          (else i))))
(define (%chibi:utf8-prev bytes i start)
  (let loop ((i (- i 1)))
    (cond ((< i start) #f)
          ((%continuation-byte? (bytevector-u8-ref bytes i)) (loop (- i 1)))
          (else i))))

;; ---- ports made of procedures ----
;;
;; Chibi's custom input port is (lambda (buffer start end) ...) that fills a string or bytevector
;; and returns where it stopped; ours asks a handler to feed it.

(define %chunk 4096)

(define (%custom-input text? fill close)
  (%make-custom-port #t text?
    (lambda (port op . args)
      (case op
        ((fill)
         (%port-feed! port (fill))
         (apply (car args) (cadr args)))
        ((close) (when close (close)))))))

(define (%chibi:make-custom-input-port read [seek #f] [close #f])
  (%custom-input #t
    (lambda ()
      (let* ((buffer (make-string %chunk)) (n (read buffer 0 %chunk)))
        (if (and (integer? n) (> n 0)) (substring buffer 0 n) (eof-object))))
    close))
(define (%chibi:make-custom-binary-input-port read [seek #f] [close #f])
  (%custom-input #f
    (lambda ()
      (let* ((buffer (make-bytevector %chunk)) (n (read buffer 0 %chunk)))
        (if (and (integer? n) (> n 0)) (bytevector-copy buffer 0 n) (eof-object))))
    close))

(define (%custom-output text? write close)
  (%make-custom-port #f text?
    (lambda (port op . args)
      (case op
        ((write) (write (car args)))
        ((close) (when close (close)))))))
(define (%chibi:make-custom-output-port write [seek #f] [close #f])
  (%custom-output #t (lambda (s) (write s 0 (string-length s))) close))
(define (%chibi:make-custom-binary-output-port write [seek #f] [close #f])
  (%custom-output #f (lambda (b) (write b 0 (bytevector-length b))) close))

(define (%chibi:make-generated-input-port generator)
  (%custom-input #t
    (lambda ()
      (let loop ()
        (let ((s (generator)))
          (cond ((not (string? s)) (eof-object))
                ((string=? s "") (loop))
                (else s)))))
    #f))
(define (%chibi:make-generated-binary-input-port generator)
  (%custom-input #f
    (lambda ()
      (let loop ()
        (let ((b (generator)))
          (cond ((not (bytevector? b)) (eof-object))
                ((= 0 (bytevector-length b)) (loop))
                (else b)))))
    #f))
(define (%chibi:make-filtered-input-port filter port)
  (%chibi:make-generated-input-port
   (lambda () (let ((s (read-string %chunk port))) (if (string? s) (filter s) s)))))
(define (%chibi:make-concatenated-port . ports)
  (%chibi:make-generated-input-port
   (lambda ()
     (let loop ()
       (if (null? ports)
           #f
           (let ((s (read-string %chunk (car ports))))
             (if (string? s) s (begin (set! ports (cdr ports)) (loop)))))))))
(define (%chibi:make-null-input-port) (open-input-string ""))
(define (%chibi:make-null-output-port) (%custom-output #t (lambda (s) (void)) #f))
(define (%chibi:make-broadcast-port . ports)
  (%custom-output #t (lambda (s) (for-each (lambda (p) (write-string s p)) ports)) #f))
(define (%chibi:make-filtered-output-port filter port)
  (%custom-output #t
    (lambda (s) (let ((s (filter s))) (when (string? s) (write-string s port))))
    #f))
(define (%chibi:send-file . args) ((%no-file 'send-file)))
(define %chibi:file->string (%no-file 'file->string))
(define %chibi:file->bytevector (%no-file 'file->bytevector))
(define %chibi:file-position (%no-file 'file-position))
(define %chibi:set-file-position! (%no-file 'set-file-position!))
(define (%chibi:is-a-socket? x) #f)
