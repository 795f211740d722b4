;; llm/handles.scm — what a program does with handles: await them, cancel them, bound them in time, and
;; map-async, which keeps so many under way at once. How a handle is settled: runtime/fibers.scm.

(define (%check-handle who h)
  (cond ((handle? h) h)
        ((syntax? h)
         (%fail 'exn:fail:contract
                (string-append (symbol->string who)
                               ": got a scoped value: llm-query has waited already; use (syntax-e v), or llm-query-async")))
        (else (%err-type who 0 "async handle" h))))

(define (%check-handles who hs)
  (if (not (list? hs)) (%err-type who 0 "list of async handles" hs))
  (for-each (lambda (h) (%check-handle who h)) hs))

;; What a result is worth as an item of a list of texts.
(define (%plain v) (if (syntax? v) (%unwrap v) v))

(define (await h)
  (%check-handle 'await h)
  (let ((v (%await-in-sight h)))
    (%log! "await" (if (syntax? v) (%scoped-text v) v) "sandbox" "handle" (%handle-id h))
    v))

(define (await-all hs) (map %plain (%await-each 'await-all hs)))
(define (await-all-syntax hs) (%await-each 'await-all-syntax hs))

;; All of them; the first failure in time is the failure of the whole, and the rest is cancelled.
(define (%await-each who hs)
  (%check-handles who hs)
  (%until-all-or-failure hs)
  (map await hs))

(define (%failed? h) (eq? (%handle-state h) 'failed))

(define (%until-all-or-failure hs [on-failure void])
  (let ((failed (or (find %failed? hs) (%await-until hs %failed?))))
    (when failed
      (on-failure)
      (%stop-all! hs)
      (%handle-result failed))))

(define (await-any hs)
  (if (null? hs) (%fail 'exn:fail:contract "await-any: cannot await-any on empty list"))
  (let* ((pool (%pool-for hs (lambda (hs) (%check-handles 'await-any hs))))
         (first (%next-of! pool)) (rest (%pool-list pool)) (v (await first)))
    (values (%plain v) rest)))

(define (cancel h)
  (%check-handle 'cancel h)
  (%stop! h)
  (void))

(define (handle-done? h) (not (%pending? (%check-handle 'handle-done? h))))

(define (spawn thunk)
  (if (not (procedure? thunk)) (%err-type 'spawn 0 "procedure of no arguments" thunk))
  (%spawn thunk "spawned fiber"))

;; ---- time ----

(define (with-timeout seconds thunk [on-timeout #f])
  (if (not (and (real? seconds) (>= seconds 0)))
      (%err-type 'with-timeout 0 "non-negative number of seconds" seconds))
  (if (not (procedure? thunk)) (%err-type 'with-timeout 1 "procedure of no arguments" thunk))
  (if (not (or (not on-timeout) (procedure? on-timeout)))
      (%err-type 'with-timeout 2 "procedure of no arguments" on-timeout))
  (let* ((work (%spawn thunk "with-timeout"))
         (timer (%spawn (lambda () (sleep seconds)) "timer"))
         (first (%await-until (list work timer) values)))
    (cond ((eq? first work)
           (%stop! timer)
           (%handle-result work))
          (else
           (%stop! work)
           (if on-timeout
               (on-timeout)
               (%fail 'exn:fail:timeout
                      (string-append "with-timeout: no result after " (number->string seconds) " seconds")))))))

;; ---- map-async ----

;; The results of (work item index) for all items, at most n at once, in the items' order. Each
;; worker takes the next item as soon as it is done with one; (failed condition item index) gives
;; what stands in a failed item's place.
(define (%map-concurrently who work items n failed)
  (let* ((items (list->vector items)) (count (vector-length items))
         (results (make-vector count #f)) (next 0) (trouble #f) (left (lambda () (- count next))))
    (define (worker)
      (let loop ()
        (if (and (< next count) (not trouble))
            (let ((i next))
              (set! next (+ i 1))
              (%item-begins!)
              (vector-set! results i
                           (%catch (lambda (condition) (failed condition (vector-ref items i) i))
                                   (lambda () (%result (work (vector-ref items i) i)))))
              (%item-is-done!)
              (loop)))))
    (%announce! count)
    (%announced! left)
    (let ((workers (let loop ((i (min n count)) (out '()))
                     (if (= i 0) (reverse out) (loop (- i 1) (cons (%spawn worker who) out))))))
      (%until-all-or-failure workers
                             (lambda () ; no other item begins
                               (set! trouble #t)
                               (%announce! (- (left)))
                               (%forget-announced! left)))
      (%forget-announced! left)
      (vector->list results))))

;; What an item's procedure gave: a handle is awaited, a scoped value becomes its text.
(define (%result v)
  (cond ((handle? v) (%plain (await v)))
        ((syntax? v) (%unwrap v))
        (else v)))

(define (%raise-at who condition index)
  (%raise
   (if (exn? condition)
       (let ((told (%make-condition (%rtd-name (%record-rtd condition))
                                    (string-append who ": item " (number->string index) ": " (exn-message condition))
                                    (%condition-irritants condition))))
         (for-each (lambda (i) (%set-condition-mark! told i (%condition-mark condition i))) '(1 2 3 4 5 6))
         (if (not (eq? (%condition-mark condition 7) 'error)) ; its message has the irritants already
             (%set-condition-mark! told 7 (%condition-mark condition 7)))
         told)
       condition)))

(define (%check-concurrency who n)
  (if (not (and (exact-integer? n) (> n 0)))
      (%fail 'exn:fail:contract (string-append who ": #:max-concurrent must be a positive integer, got " (%bounded-text n)))))

(define (map-async f items #:max-concurrent [n 20] #:on-error [on-error %none])
  (if (not (procedure? f))
      (%fail 'exn:fail:contract
             (string-append "map-async: expected a procedure first, got " (%bounded-text f)
                            "; write (map-async (lambda (x) (llm-query-async ...)) items)")))
  (let ((items (cond ((list? items) items)
                     ((vector? items) (vector->list items))
                     (else (%fail 'exn:fail:contract
                                  (string-append "map-async: expected a list of items, got " (%bounded-text items)
                                                 (if (string? items) "; split the text first, with string-split or context-chunks" "")))))))
    (%check-concurrency "map-async" n)
    (if (not (or (not (procedure? on-error)) (procedure-arity-includes? on-error 1) (procedure-arity-includes? on-error 2)))
        (%fail 'exn:fail:contract
               "map-async: #:on-error must take the message, or the message and the item: (lambda (message) ...)"))
    (%map-concurrently "map-async" (lambda (item i) (f item)) items n
                       (lambda (condition item i)
                         (cond ((eq? on-error %none) (%raise-at "map-async" condition i))
                               ((not (procedure? on-error)) on-error)
                               ((procedure-arity-includes? on-error 1) (on-error (condition/report-string condition)))
                               (else (on-error (condition/report-string condition) item)))))))
