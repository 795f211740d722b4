;; chibi/crypto.scm — what (chibi crypto sha2) takes from C: a digest that grows by pieces. The
;; pieces are kept and hashed at the end by the core's own SHA-256.

(define-values (%sha-rtd) (%make-rtd 'sha-context #f '#(type pieces)))
(define (%start-sha type) (%record %sha-rtd type '()))
(define (%add-sha-data! context piece)
  (%record-set! context 1
                (cons (if (string? piece) (string->utf8 piece) piece) (%record-ref context 1))))
(define (%get-sha context)
  (let ((bytes (apply bytevector-append (reverse (%record-ref context 1)))))
    (%hex-encode (if (eq? (%record-ref context 0) 'sha-224) (%sha224 bytes) (%sha256 bytes)))))

;; SHA-224 is SHA-256 with other initial values, cut: it has no primitive, for nobody else asks.
(define (%integer-cube-root n)
  (let loop ((low 0) (high (expt 2 (+ 1 (quotient (integer-length n) 3)))))
    (if (= (+ low 1) high)
        low
        (let ((middle (quotient (+ low high) 2)))
          (if (<= (* middle middle middle) n) (loop middle high) (loop low middle))))))

(define %sha-constants
  (let loop ((n 2) (primes '()) (constants '()))
    (cond ((= (length constants) 64) (list->vector (reverse constants)))
          ((any (lambda (p) (= 0 (remainder n p))) primes) (loop (+ n 1) primes constants))
          (else
           (loop (+ n 1) (cons n primes)
                 ;; the first 32 bits of the fraction of the cube root
                 (cons (bitwise-and (%integer-cube-root (* n (expt 2 96))) #xffffffff) constants))))))

(define (%rotate x n)
  (bitwise-and #xffffffff (bitwise-ior (arithmetic-shift x (- n)) (arithmetic-shift x (- 32 n)))))

(define (%sha224 bytes)
  (let* ((n (bytevector-length bytes))
         (padded (* 64 (quotient (+ n 9 63) 64)))
         (message (make-bytevector padded 0)))
    (bytevector-copy! message 0 bytes)
    (bytevector-u8-set! message n #x80)
    (%bytes-set! message (- padded 8) 8 #t (* 8 n))
    (let loop ((at 0)
               (state '(#xc1059ed8 #x367cd507 #x3070dd17 #xf70e5939
                        #xffc00b31 #x68581511 #x64f98fa7 #xbefa4fa4)))
      (if (< at padded)
          (loop (+ at 64) (%sha-block message at state))
          (let ((digest (make-bytevector 32)))
            (for-each (lambda (i word) (%bytes-set! digest (* 4 i) 4 #t word)) (iota 8) state)
            (bytevector-copy digest 0 28))))))

(define (%sha-block message at state)
  (define w (make-vector 64 0))
  (define (word i) (vector-ref w i))
  (define (mix x a b shift) (bitwise-xor (%rotate x a) (%rotate x b) (arithmetic-shift x (- shift))))
  (define (sum x a b c) (bitwise-xor (%rotate x a) (%rotate x b) (%rotate x c)))
  (do ((i 0 (+ i 1))) ((= i 16)) (vector-set! w i (%bytes-ref message (+ at (* 4 i)) 4 #t)))
  (do ((i 16 (+ i 1))) ((= i 64))
    (vector-set! w i (bitwise-and #xffffffff
                                  (+ (word (- i 16)) (mix (word (- i 15)) 7 18 3)
                                     (word (- i 7)) (mix (word (- i 2)) 17 19 10)))))
  (let loop ((i 0) (s state))
    (if (= i 64)
        (map (lambda (a b) (bitwise-and #xffffffff (+ a b))) state s)
        (apply (lambda (a b c d e f g h)
                 (let ((t1 (+ h (sum e 6 11 25)
                              (bitwise-xor (bitwise-and e f) (bitwise-and (bitwise-not e) g))
                              (vector-ref %sha-constants i) (word i)))
                       (t2 (+ (sum a 2 13 22)
                              (bitwise-xor (bitwise-and a b) (bitwise-and a c) (bitwise-and b c)))))
                   (loop (+ i 1)
                         (list (bitwise-and #xffffffff (+ t1 t2)) a b c
                               (bitwise-and #xffffffff (+ d t1)) e f g))))
               s))))

(define %type-sha-224 'sha-224)
(define %type-sha-256 'sha-256)
(%define-core-library! '(%native "crypto")
  '((%start-sha . start-sha) (%add-sha-data! . add-sha-data!) (%get-sha . get-sha)
    (%type-sha-224 . type-sha-224) (%type-sha-256 . type-sha-256)))
