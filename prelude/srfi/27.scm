;; srfi/27.scm — sources of random bits. Every source draws from the session's one generator
;; (random, random-seed), which is seeded, saved and replayed with the session; sources only
;; differ in that a source may be set to a state of its own.

(define-values (%random-source-rtd random-source?)
  (let ((rtd (%make-rtd 'random-source #f '#(state))))
    (values rtd (lambda (x) (%record-is-a? x rtd)))))
(define (make-random-source) (%record %random-source-rtd #f))
(define default-random-source (make-random-source))

;; Draw with the source's own state in place of the session's, where it has one.
(define (%with-source source draw)
  (let ((state (%record-ref source 0)))
    (if state
        (let ((session (%random-state)))
          (%random-state! state)
          (let ((result (draw)))
            (%record-set! source 0 (%random-state))
            (%random-state! session)
            result))
        (draw))))

(define (random-integer n) (random n))
(define (random-real) (let ((x (random))) (if (= x 0.0) (random-real) x)))

(define (random-source-state-ref source) (or (%record-ref source 0) (%random-state)))
(define (random-source-state-set! source state) (%record-set! source 0 state))
(define (random-source-randomize! source) (void))
(define (random-source-pseudo-randomize! source i [j 0])
  (let ((session (%random-state)))
    (random-seed (modulo (+ (* 65537 i) j) 2147483648))
    (%record-set! source 0 (%random-state))
    (%random-state! session)))
(define (random-source-make-integers source)
  (lambda (n) (%with-source source (lambda () (random n)))))
(define (random-source-make-reals source [unit #f])
  (lambda () (%with-source source random-real)))
