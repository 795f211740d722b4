;; llm/checkpoints.scm — values that the host keeps under a key, beyond the end of the session. They
;; travel encoded, so that only data can be kept. And keys made of content.

;; ---- keys ----

(define (sha256 v)
  (if (not (or (string? v) (bytes? v))) (%err-type 'sha256 0 "string or bytes" v))
  (%hex-encode (%sha256 (if (string? v) (string->utf8 v) v)))) ; piece by piece, both

;; A key for checkpoint from any data: of equal data the same one, in every session, and of other data
;; another one (SHA-256 of one spelling of the data).
(define (content-key v . more)
  (let ((data (%resolved 'content-key (cons v more))))
    (%cbor-encode data) ; refuses what is no data, and what contains itself
    (sha256 (%cbor-encode (%canonical data)))))

;; Tables and sets are equal whatever the order in which they were made, so their entries are sorted, by
;; their bytes. Nothing that a program can write looks like what stands for them.
(define %canonical-type (%make-rtd '%canonical #f '#(kind items) '(transparent)))
(define (%canonical v)
  (define (sorted kind items)
    (%record %canonical-type kind
             (sort (map (lambda (item) (%cbor-encode (%canonical item))) items) bytes<?)))
  (cond ((pair? v)
         (let loop ((rest v) (done '()))
           (if (pair? rest)
               (loop (cdr rest) (cons (%canonical (car rest)) done))
               (append-reverse done (%canonical rest)))))
        ((vector? v) (vector-map %canonical v))
        ((hash? v) (sorted 'table (hash->list v)))
        ((set? v) (sorted 'set (set->list v)))
        ((box? v) (box (%canonical (unbox v))))
        ((struct? v)
         (let ((copy (%record-copy v)))
           (for ([i (in-range (%rtd-field-count (%record-rtd v)))])
             (%record-set! copy i (%canonical (%record-ref v i))))
           copy))
        (else v)))

;; ---- checkpoints ----

(define (%checkpoint-key who key)
  (cond ((string? key) key)
        ((symbol? key) (symbol->string key))
        (else (%err-type who 0 "string or symbol" key))))

(define (checkpoint key v)
  (let ((name (%checkpoint-key 'checkpoint key)) (kept (%resolved 'checkpoint v)))
    (%request "checkpoint" name (%cbor-encode kept) (%preview (%->string kept 0 0)))
    v))

(define (restore key [otherwise #f])
  (let ((bytes (%request "restore" (%checkpoint-key 'restore key))))
    (if bytes (%cbor-decode bytes %data-types) otherwise)))
