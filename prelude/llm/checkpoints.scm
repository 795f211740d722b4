;; llm/checkpoints.scm — values that the host keeps under a key, beyond the end of the session. They
;; travel encoded, so that only data can be kept.

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
    (if bytes (%cbor-decode bytes) otherwise)))
