;; chibi/core.scm — what Chibi-Scheme implements in C under the library (chibi), so that its
;; published Scheme libraries load unchanged. Nothing here is meant for programs: the names have
;; a % in front and get their own only in the export table (libraries/chibi.scm).

;; ---- conditions: Chibi's exceptions have a kind, a message, irritants and a source ----

(define (%chibi:exception? x) (exn? x))
(define (%chibi:exception-kind e)
  (cond ((%record-is-a? e struct:exn:fail:read:eof) 'read-incomplete)
        ((%record-is-a? e struct:exn:fail:read) 'read)
        ((%record-is-a? e struct:exn:fail:contract) 'type)
        ((%record-is-a? e struct:exn:fail:filesystem) 'file)
        ((%record-is-a? e struct:exn:fail:syntax) 'syntax)
        (else (%chibi:own-kind e))))
;; A kind of a library's own is what it was made with; mark 7, as R7RS's error uses it for its own.
(define (%chibi:own-kind e)
  (let ((kind (%condition-mark e 7)))
    (if (and (pair? kind) (eq? (car kind) 'kind)) (cdr kind) 'user)))
(define (%chibi:exception-source e) #f)

(define (%chibi:make-exception kind message irritants procedure source)
  (let ((known (assq kind '((read . exn:fail:read) (read-incomplete . exn:fail:read:eof) (file . exn:fail:filesystem)
                            (type . exn:fail:contract) (syntax . exn:fail:syntax) (user . exn:fail)))))
    (if known
        (%make-condition (cdr known) message irritants)
        (let ((condition (%make-condition 'exn:fail message irritants)))
          (%set-condition-mark! condition 7 (cons 'kind kind))
          condition))))

(define (%chibi:print-exception e [port (current-error-port)])
  (write-string "ERROR: " port)
  (if (exn? e)
      (write-string (exn-message e) port)
      (write e port))
  (newline port))
(define (%chibi:print-stack-trace . args) (void))

(define (%chibi:warn message . args)
  (let ((port (current-error-port)))
    (display message port)
    (for-each (lambda (x) (write-char #\space port) (write x port)) args)
    (newline port)))

(define (%chibi:current-exception-handler)
  (let ((handlers (%state-handlers (%state))))
    (if (pair? handlers) (car handlers) (lambda (e) (raise e)))))

(define-syntax %chibi:protect
  (syntax-rules ()
    ((_ (var clause ...) body ...) (guard (var clause ...) body ...))))

(define (%chibi:with-exception-protect thunk final)
  (let ((result (%catch (lambda (e) (final) (raise e)) thunk)))
    (final)
    result))
(define-syntax %chibi:exception-protect
  (syntax-rules ()
    ((_ expression final)
     (%chibi:with-exception-protect (lambda () expression) (lambda () final)))))

;; ---- types: records by position ----

(define (%chibi:register-simple-type name parent fields)
  (%make-rtd (if (symbol? name) name (string->symbol name))
                     (and (%rtd? parent) parent)
                     (list->vector
                      (map (lambda (f) (if (pair? f) (cadr f) f))
                           (if (vector? fields) (vector->list fields) fields)))
                     '(open)))
(define (%chibi:make-type-predicate name rtd) (lambda (x) (%record-is-a? x rtd)))
(define (%chibi:make-constructor name rtd)
  (let ((fields (vector-length (%rtd-fields rtd))))
    (lambda () (apply %record rtd (make-list fields #f)))))
(define (%chibi:check-instance name x rtd)
  (unless (%record-is-a? x rtd)
    (%err-type (if (string? name) (string->symbol name) name) 0 (symbol->string (%rtd-name rtd)) x)))
(define (%chibi:make-getter name rtd index)
  (lambda (x) (%chibi:check-instance name x rtd) (%record-ref x index)))
(define (%chibi:make-setter name rtd index)
  (lambda (x value) (%chibi:check-instance name x rtd) (%record-set! x index value)))
(define (%slot-index rtd field) (if (symbol? field) (%chibi:type-slot-offset rtd field) field))
(define (%chibi:slot-ref rtd x field) (%record-ref x (%slot-index rtd field)))
(define (%chibi:slot-set! rtd x field value) (%record-set! x (%slot-index rtd field) value))
(define (%chibi:is-a? x rtd)
  (cond ((eq? rtd %chibi:Object) #t)
        ((%rtd? rtd) (%record-is-a? x rtd))
        (else #f)))
(define (%vector-position x v)
  (let loop ((i (- (vector-length v) 1)))
    (and (>= i 0) (if (eq? x (vector-ref v i)) i (loop (- i 1))))))
(define (%chibi:type-slot-offset rtd field) (%vector-position field (%rtd-fields rtd)))

;; ---- numbers, characters, strings ----

(define (%chibi:fixnum? x) (and (exact-integer? x) (<= -4611686018427387904 x 4611686018427387903)))
(define (%chibi:bignum? x) (and (exact-integer? x) (not (%chibi:fixnum? x))))
(define (%chibi:flonum? x) (and (real? x) (inexact? x)))
(define (%chibi:ratio? x) (and (rational? x) (exact? x) (not (integer? x))))
(define (%chibi:exact-sqrt x)
  (let-values (((root rest) (exact-integer-sqrt x))) (cons root rest)))
(define (%chibi:char-cmp op a chars) (apply op (char->integer a) (map char->integer chars)))
(define (%chibi:char-cmp-ci op a chars)
  (apply op (char->integer (char-foldcase a))
         (map (lambda (c) (char->integer (char-foldcase c))) chars)))
(define (%chibi:string-concatenate strings [separator #f])
  (if separator (%string-join strings separator) (%string-concatenate strings)))
(define (%chibi:length* x) (let loop ((x x) (n 0)) (if (pair? x) (loop (cdr x) (+ n 1)) n)))
(define (%chibi:append2 a b) (append a b))
;; Chibi passes over what is no list; (chibi generic) relies on that.
(define (%chibi:append . lists)
  (if (null? lists)
      '()
      (let loop ((lists lists) (kept '()))
        (if (null? (cdr lists))
            (apply append (reverse (cons (car lists) kept)))
            (loop (cdr lists) (if (list? (car lists)) (cons (car lists) kept) kept))))))
(define (%chibi:write-string s [n (string-length s)] [port (current-output-port)])
  (write-string s port 0 (if (integer? n) n (string-length s))))
(define (%chibi:string-copy! to at from [start 0] [end (string-length from)])
  (string-copy! to at from start (min end (+ start (- (string-length to) at)))))

;; ---- source places are kept by the reader, not in the data ----

(define (%chibi:pair-source x) #f)
(define (%chibi:pair-source-set! x source) (void))
(define (%chibi:set-port-line! port n) (void))
(define (%chibi:port-fileno port) #f)
(define (%chibi:stream-port? port) #f)
(define (%chibi:port-open? port)
  (if (input-port? port) (input-port-open? port) (output-port-open? port)))

;; ---- promises: the macro behind delay ----

(define (%chibi:promise done? value) (%new-promise done? value))

;; ---- syntax ----


(define-syntax %chibi:define-auxiliary-syntax
  (er-macro-transformer
   (lambda (form rename compare)
     (let ((name (cadr form)))
       `(,(rename 'define-syntax) ,name
         (,(rename 'er-macro-transformer)
          (,(rename 'lambda) (form rename compare)
           (,(rename '%syntax-error) "invalid use of auxiliary syntax" ',name))))))))

(define (%chibi:make-renamer env)
  (let ((renamed '()))
    (lambda (id)
      (let ((known (assq id renamed)))
        (if known
            (cdr known)
            (let ((alias (make-syntactic-closure env '() id)))
              (set! renamed (cons (cons id alias) renamed))
              alias))))))

;; A symbol, or the symbols of a datum, as the identifier means them.
(define (%chibi:symbol->identifier id symbol) (%sibling-identifier id symbol))
(define (%chibi:datum->syntax id datum)
  (let walk ((x datum))
    (cond ((pair? x) (cons (walk (car x)) (walk (cdr x))))
          ((vector? x) (vector-map walk x))
          ((symbol? x) (%chibi:symbol->identifier id x))
          (else x))))

;; ---- environments and evaluation ----

(define (%chibi:env-exports env) (append (%environment-names env) '()))
(define (%chibi:compile form [env (interaction-environment)]) (lambda () (eval form env)))
(define (%chibi:find-module-file name) #f)
(define (%chibi:current-module-path . args) '())
(define (%chibi:thread-parameters) (%state-params (%state)))
(define (%chibi:thread-parameters-set! params)
  (%set-dynamic! (%with-params-state (%state) params)))
(define (%chibi:yield!) (void))
(define (%chibi:register-optimization! . args) (void))
(define (%chibi:gc . args) (%collect-garbage) 0)
