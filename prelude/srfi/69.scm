;; srfi/69.scm — hash tables under the names of SRFI 69, and of SRFI 125 where they agree.
;;
;; A table whose equivalence is equal?, eqv?, eq? or string=? is the core's own table (the same
;; type as Racket's hashes). Any other equivalence makes a %custom-table: a record with the two
;; procedures and a core table from hash value to a bucket, a list of (key . value).

(define-values (%custom-table-rtd %custom-table?)
  (let ((rtd (%make-rtd 'hash-table #f '#(same? hash buckets count mutable?))))
    (values rtd (lambda (x) (%record-is-a? x rtd)))))
(define (%custom-same? t) (%record-ref t 0))
(define (%custom-hash t) (%record-ref t 1))
(define (%custom-buckets t) (%record-ref t 2))
(define (%custom-count t) (%record-ref t 3))
(define (%custom-count! t by) (%record-set! t 3 (+ by (%record-ref t 3))))
;; What (hash-table-copy t #f) of SRFI 125 gives says that it is immutable, and that is all: that it is changed is the
;; user's error, and Chibi's SRFI 113 makes it.
(define (%custom-mutable? t) (%record-ref t 4))

(define (hash-table? x) (or (hash? x) (%custom-table? x)))

(define (%check-hash-table who t)
  (unless (%custom-table? t) (%err-type who 0 "hash table" t)))

;; Where nobody gave a hash function for an unknown equivalence, all keys share one bucket.
(define (%custom-bucket-key t key)
  (let ((h (%custom-hash t)))
    (if h (h key) 0)))

(define (%custom-entry t key)
  (let ((same? (%custom-same? t)))
    (let loop ((bucket (%hash-ref (%custom-buckets t) (%custom-bucket-key t key) '())))
      (cond ((null? bucket) #f)
            ((same? key (caar bucket)) (car bucket))
            (else (loop (cdr bucket)))))))

(define (%custom-set! t key value)
  (let ((entry (%custom-entry t key)))
    (if entry
        (set-cdr! entry value)
        (let ((h (%custom-bucket-key t key)) (buckets (%custom-buckets t)))
          (%custom-count! t 1)
          (hash-set! buckets h (append (%hash-ref buckets h '()) (list (cons key value))))))))

(define (%custom-delete! t key)
  (let ((entry (%custom-entry t key)))
    (when entry
      (let ((h (%custom-bucket-key t key)) (buckets (%custom-buckets t)))
        (%custom-count! t -1)
        (let ((left (remq entry (hash-ref buckets h '()))))
          (if (null? left) (hash-remove! buckets h) (hash-set! buckets h left)))))
    (and entry #t)))

(define (%custom->alist t)
  (append-map (lambda (bucket) (map (lambda (e) (cons (car e) (cdr e))) bucket))
              (hash-values (%custom-buckets t))))

;; ---- construction ----

(define (%table-kind same?)
  (cond ((eq? same? equal?) 0) ((eq? same? eqv?) 1) ((eq? same? eq?) 2)
        ((eq? same? string=?) 3)
        ((eq? same? =) #f)
        (else #f)))

;; What goes into the bucket for the equivalences that people do pass.
(define (%default-hash same?)
  (cond ((eq? same? string-ci=?) (lambda (s) (string-hash (string-foldcase s))))
        ((eq? same? =) (lambda (n) (equal-hash-code (inexact n))))
        ((eq? same? char=?) equal-hash-code)
        ((eq? same? char-ci=?) (lambda (c) (equal-hash-code (char-foldcase c))))
        ((eq? same? symbol=?) equal-hash-code)
        (else #f)))

(define (%make-table same? hash)
  (let ((kind (%table-kind same?)))
    (if kind
        (%make-hash kind #f)
        (%record %custom-table-rtd same? (or hash (%default-hash same?)) (%make-hash 1 #f) 0 #t))))

(define (%first-procedure args except)
  (cond ((null? args) #f)
        ((and (procedure? (car args)) (not (eq? (car args) except))) (car args))
        (else (%first-procedure (cdr args) except))))

;; Sizes, weakness and thread-safety hints are accepted and mean nothing here.
(define (make-hash-table . args)
  (cond ((and (pair? args) (comparator? (car args)))
         (%make-table (comparator-equality-predicate (car args))
                      (comparator-hash-function (car args))))
        (else
         (let* ((same? (or (%first-procedure args #f) equal?))
                (hash (%first-procedure args same?)))
           (%make-table same? hash)))))

(define (alist->hash-table alist . args)
  (let ((t (apply make-hash-table args)))
    ;; the first association of a key wins, as in an alist
    (for-each (lambda (entry)
                (unless (hash-table-contains? t (car entry))
                  (hash-table-set! t (car entry) (cdr entry))))
              alist)
    t))

(define (hash-table-equivalence-function t)
  (if (%custom-table? t)
      (%custom-same? t)
      (case (%hash-kind t) ((0) equal?) ((1) eqv?) ((2) eq?) (else string=?))))
(define (hash-table-hash-function t)
  (if (%custom-table? t)
      (%custom-hash t)
      (case (%hash-kind t) ((0) equal-hash-code) ((1) eqv-hash-code) ((2) eq-hash-code)
        (else string-hash))))

;; ---- access ----

(define %missing (list 'missing))

(define (hash-table-ref/default t key default)
  (if (hash? t)
      (%hash-ref t key default)
      (let ((entry (%custom-entry t key))) (if entry (cdr entry) default))))

(define (hash-table-ref t key [failure #f] [success #f])
  (let ((value (hash-table-ref/default t key %missing)))
    (cond ((eq? value %missing)
           (if failure (failure) (error 'hash-table-ref "no value found for key: ~s" key)))
          (success (success value))
          (else value))))

(define (hash-table-contains? t key)
  (if (hash? t) (hash-has-key? t key) (and (%custom-entry t key) #t)))
(define hash-table-exists? hash-table-contains?)

(define (%table-set! t key value)
  (if (hash? t) (hash-set! t key value) (%custom-set! t key value)))
(define hash-table-set!
  (case-lambda
    ((t key value) (%table-set! t key value))
    ((t . rest)
     (let loop ((rest rest))
       (unless (null? rest)
         (%table-set! t (car rest) (cadr rest))
         (loop (cddr rest)))))))

(define (%table-delete! t key)
  (if (hash? t)
      (let ((there? (hash-has-key? t key))) (hash-remove! t key) there?)
      (%custom-delete! t key)))
;; SRFI 125 answers how many keys went; SRFI 69 leaves the result open.
(define (hash-table-delete! t . keys)
  (fold (lambda (key n) (if (%table-delete! t key) (+ n 1) n)) 0 keys))

(define (hash-table-update! t key f [failure #f] [success #f])
  (%table-set! t key
               (f (let ((value (hash-table-ref/default t key %missing)))
                    (cond ((eq? value %missing)
                           (if failure (failure) (error 'hash-table-update! "no value found for key: ~s" key)))
                          (success (success value))
                          (else value))))))
(define (hash-table-update!/default t key f default)
  (%table-set! t key (f (hash-table-ref/default t key default))))
(define (hash-table-intern! t key failure)
  (let ((value (hash-table-ref/default t key %missing)))
    (if (eq? value %missing)
        (let ((value (failure))) (%table-set! t key value) value)
        value)))

(define (hash-table-size t) (if (hash? t) (hash-count t) (begin (%check-hash-table 'hash-table-size t) (%custom-count t))))
(define hash-table-count-entries hash-table-size)
(define (hash-table->alist t)
  (if (hash? t) (hash->list t) (begin (%check-hash-table 'hash-table->alist t) (%custom->alist t))))
(define (hash-table-keys t) (if (hash? t) (hash-keys t) (map car (hash-table->alist t))))
(define (hash-table-values t) (if (hash? t) (hash-values t) (map cdr (hash-table->alist t))))
(define (hash-table-entries t)
  (let ((entries (hash-table->alist t))) (values (map car entries) (map cdr entries))))
(define (hash-table-empty? t) (= 0 (hash-table-size t)))

(define (hash-table-walk t f)
  (for-each (lambda (e) (f (car e) (cdr e))) (hash-table->alist t)))

;; SRFI 69's users and SRFI 125 disagree about the place of the table: both orders work.
(define (hash-table-fold a b c)
  (let ((t (if (hash-table? a) a c)) (f (if (hash-table? a) b a)) (seed (if (hash-table? a) c b)))
    (fold (lambda (e acc) (f (car e) (cdr e) acc)) seed (hash-table->alist t))))

(define (%empty-like t)
  (if (hash? t)
      (%make-hash (%hash-kind t) #f)
      (%make-table (%custom-same? t) (%custom-hash t))))
(define (hash-table-copy t [mutable? #t])
  (if (hash? t)
      (%hash-copy t #f)
      (let ((new (%empty-like t)))
        (for-each (lambda (e) (%custom-set! new (car e) (cdr e))) (%custom->alist t))
        (unless mutable? (%record-set! new 4 #f))
        new)))
(define (srfi-125:hash-table-copy t [mutable? #f]) (hash-table-copy t mutable?))
(define (hash-table-empty-copy t) (%empty-like t))
(define (hash-table-clear! t)
  (if (hash? t)
      (hash-clear! t)
      (begin (hash-clear! (%custom-buckets t)) (%record-set! t 3 0))))

(define (hash-table-merge! t other)
  (hash-table-walk other (lambda (k v) (%table-set! t k v)))
  t)

;; ---- hash functions ----

(define (%bounded-hash h bound) (if bound (modulo h bound) h))
(define (srfi-69:hash x [bound #f]) (%bounded-hash (equal-hash-code x) bound))
(define (hash-by-identity x [bound #f]) (%bounded-hash (eq-hash-code x) bound))
(define (string-ci-hash s [bound #f]) (%bounded-hash (string-hash (string-foldcase s)) bound))
(define (srfi-69:string-hash s [bound #f]) (%bounded-hash (string-hash s) (and (integer? bound) bound)))
(define hash-by-equal srfi-69:hash)
(define hash-by-eqv srfi-69:hash)
(define (hash-table-mutable? t) (if (hash? t) (not (immutable? t)) (%custom-mutable? t)))
