;; control.scm — the dynamic state, dynamic-wind, call/cc, multiple values.
;;
;; Invariant: the VM's register (%dynamic) is #f (a fresh stack) or a vector
;; #(winders handlers params) that nobody mutates; whoever wants another state installs a new
;; vector. A raw continuation (%call/cc) carries the register with it, so handlers and
;; parameters follow every jump by themselves; only winders need the walk in %rewind!.
;;
;; A winder is #(before after outer), `outer` being the state of the dynamic-wind call: before
;; and after thunks run there, as the standard asks.

(define %empty-state (vector '() '() '()))
(define (%dynamic-empty) %empty-state)
(define (%state) (or (%dynamic) %empty-state))
(define (%state-handlers s) (vector-ref s 1))
(define (%state-params s) (vector-ref s 2))
(define (%with-handlers-state s handlers)
  (vector (vector-ref s 0) handlers (vector-ref s 2)))
(define (%with-params-state s params)
  (vector (vector-ref s 0) (vector-ref s 1) params))

;; What a new fiber starts from: its parent's parameters, but none of its parent's duties.
(define (%dynamic-for-fiber parent)
  (if parent (vector '() '() (vector-ref parent 2)) %empty-state))

(define (dynamic-wind before thunk after)
  (before)
  (let ((outer (%state)))
    (%set-dynamic! (vector (cons (vector before after outer) (vector-ref outer 0))
                           (vector-ref outer 1)
                           (vector-ref outer 2)))
    (let ((result (thunk)))
      (%set-dynamic! outer)
      (after)
      result)))

(define (%common-winders a b)
  (let loop ((a a) (la (length a)) (b b) (lb (length b)))
    (cond ((eq? a b) a)
          ((> la lb) (loop (cdr a) (- la 1) b lb))
          ((< la lb) (loop a la (cdr b) (- lb 1)))
          (else (loop (cdr a) (- la 1) (cdr b) (- lb 1))))))

(define (%unwind! from common)
  (unless (eq? from common)
    (let ((winder (car from)))
      (%set-dynamic! (vector-ref winder 2))
      ((vector-ref winder 1))
      (%unwind! (cdr from) common))))

(define (%wind! to common)
  (unless (eq? to common)
    (%wind! (cdr to) common)
    (let ((winder (car to)))
      (%set-dynamic! (vector-ref winder 2))
      ((vector-ref winder 0)))))

;; Leave and enter the dynamic-wind extents between here and a continuation with these winders.
(define (%rewind! to)
  (let* ((from (vector-ref (%state) 0))
         (common (%common-winders from to)))
    (%unwind! from common)
    (%wind! to common)))

(define (call-with-current-continuation receiver)
  (unless (procedure? receiver) (%err-type 'call-with-current-continuation 0 "procedure" receiver))
  (%call/cc
   (lambda (k)
     (let ((winders (vector-ref (%state) 0)))
       (receiver
        (case-lambda
          ((value)
           (unless (eq? (vector-ref (%state) 0) winders) (%rewind! winders))
           (k value))
          (results
           (unless (eq? (vector-ref (%state) 0) winders) (%rewind! winders))
           (apply k results))))))))

;; What `values` gives is one object; %apply-values takes it apart.
(define (call-with-values producer consumer) (%apply-values consumer (producer)))

(define call/cc call-with-current-continuation)
(define call-with-escape-continuation call-with-current-continuation)
(define call/ec call-with-current-continuation)

(define-syntax let/cc
  (syntax-rules ()
    ((_ k body ...) (call-with-current-continuation (lambda (k) body ...)))))

(define-syntax let/ec
  (syntax-rules ()
    ((_ k body ...) (call-with-current-continuation (lambda (k) body ...)))))
