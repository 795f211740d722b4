;; runtime/fibers.scm — many threads of control in one machine, requests to the host, handles.
;;
;; A fiber is a raw continuation. It runs until it parks: it stores its continuation, says what it
;; waits for, and jumps to the base loop, which runs the next fiber that can go on, or waits for a
;; message of the host. Nothing else ever switches fibers, except the tick at the end of a slice.
;;
;; Invariant: %current-fiber is the running fiber, and #f while the base loop or a step that must
;; not be interrupted is at work. The tick leaves everything alone then.

(define-record-type %fiber
  (%make-fiber id k resume state handle what request)
  %fiber?
  (id %fiber-id)
  (k %fiber-k %fiber-set-k!)                ; where it goes on; #f: not started, or dead
  (resume %fiber-resume %fiber-set-resume!) ; a thunk to call there
  (state %fiber-state)                      ; the dynamic state that it starts with
  (handle %fiber-handle)                    ; settled by its end; #f: the program itself
  (what %fiber-what %fiber-set-what!)       ; what it waits for, for people: #f while it can run
  (request %fiber-request %fiber-set-request!)) ; id of the request it waits for, or #f

;; A handle stands for something that will come: a call's answer, a fiber's value.
(define-record-type handle
  (%make-handle id what state value waiters owner abort)
  handle?
  (id %handle-id)
  (what %handle-what)                       ; text for people: "llm-query-async call", "spawn"
  (state %handle-state %handle-set-state!)  ; pending, done, failed, cancelled
  (value %handle-value %handle-set-value!)  ; the value, or the condition
  (waiters %handle-waiters %handle-set-waiters!) ; procedures of one argument, the handle
  (owner %handle-owner)                     ; the fiber that made it
  (abort %handle-abort %handle-set-abort!)) ; a thunk that stops the work

(define %current-fiber #f)
(define %main-fiber #f)       ; the fiber that runs the program
(define %base-k #f)           ; the base loop
(define %outcome #f)          ; set: the execution is over
(define %next-id 1)
(define %requests (%make-hash 1 #f)) ; id -> fiber, or procedure (ok? value)
(define %live (%make-hash 1 #f))     ; id -> handle that is pending
(define %handle-limit 10000)

(define (%fresh-id)
  (let ((id %next-id))
    (set! %next-id (+ id 1))
    id))

;; ---- the run queue ----

(define %queue-head '())
(define %queue-tail '())

(define (%enqueue! fiber)
  (let ((cell (cons fiber '())))
    (if (null? %queue-head) (set! %queue-head cell) (set-cdr! %queue-tail cell))
    (set! %queue-tail cell)))

;; Let a parked fiber go on; its (%park! …) gives what thunk gives, or raises what it raises.
(define (%wake! fiber thunk)
  (when (%fiber-what fiber)
    (%fiber-set-what! fiber #f)
    (%fiber-set-request! fiber #f)
    (%fiber-set-resume! fiber thunk)
    (%enqueue! fiber)))

;; Wait. `what` says for what; (setup fiber) arranges that somebody wakes it.
(define (%park! what setup)
  ((%call/cc
    (lambda (k)
      (let ((fiber %current-fiber))
        (set! %current-fiber #f)
        (if (not fiber) (%panic "a fiber parked while none was running"))
        (%fiber-set-k! fiber k)
        (%fiber-set-what! fiber what)
        (setup fiber)
        (%base-k #f))))))

;; Run something that no tick may interrupt. It must be short and must not park.
(define (%atomically thunk)
  (let ((fiber %current-fiber))
    (set! %current-fiber #f)
    (let ((result (thunk)))
      (set! %current-fiber fiber)
      result)))

;; Let the other fibers have a turn.
(define (%yield)
  (if (and (pair? %queue-head) %current-fiber)
      (%park! "its turn" (lambda (fiber) (%wake! fiber void)))))

;; ---- the base loop ----

(define (%run-fibers)
  (%call/cc (lambda (k) (set! %base-k k)))
  (set! %current-fiber #f)
  (let loop ()
    (cond (%outcome #t)
          ((pair? %queue-head)
           (let ((fiber (car %queue-head)))
             (set! %queue-head (cdr %queue-head))
             (if (%fiber-resume fiber) (%run-fiber fiber))
             (loop)))
          ((and (= (hash-count %requests) 0) (%deadlock!)) (loop))
          (else
           (%flush-output)
           (let ((early (%inbox))) ; it came in the middle of a slice, while no fiber ran
             (if early (%outbox! %ack))
             (%deliver! (%cbor-decode (or early (%wait)) %data-types)))
           (loop)))))

(define (%run-fiber fiber)
  (let ((k (%fiber-k fiber)) (resume (%fiber-resume fiber)))
    (%fiber-set-k! fiber #f)
    (%fiber-set-resume! fiber #f)
    (cond (k (set! %current-fiber fiber)
             (k resume))
          (else
           (%set-dynamic! (%fiber-state fiber))
           (set! %current-fiber fiber)
           (let ((value (resume)))
             (set! %current-fiber #f)
             (if (%fiber-handle fiber) (%settle! (%fiber-handle fiber) 'done value)))))))

;; Every fiber waits and nothing is on its way: the program is told, where it waits.
(define (%deadlock!)
  (let ((text (string-append "deadlock: " (%who-waits) "; nothing that is running can end that")))
    (%wake! %main-fiber (lambda () (%fail 'exn:fail:deadlock text)))
    #t))

(define (%who-waits)
  (let ((others (filter %fiber-what (filter values (map %fiber-of-handle (hash-values %live))))))
    (string-join
     (map (lambda (fiber)
            (string-append (if (%fiber-handle fiber)
                               (string-append "fiber " (number->string (%fiber-id fiber)))
                               "the program")
                           " waits for " (%fiber-what fiber)))
          (cons %main-fiber (if (> (length others) 8) (take others 8) others)))
     ", ")))

(define (%fiber-of-handle handle)
  (let ((abort (%handle-abort handle))) (and (%fiber? abort) abort)))

(define (%fail kind message)
  (%raise (%condition-locate! (%make-condition kind message '()))))

;; ---- messages ----

(define %ack (%cbor-encode '("ack")))

(define (%deliver! message)
  (let ((kind (car message)))
    (if (string=? kind "replies")
        (for-each %deliver-reply! (cadr message)))))

(define (%deliver-reply! reply)
  (let* ((id (car reply)) (waiting (%hash-ref %requests id #f)))
    (when waiting
      (hash-remove! %requests id)
      (let ((ok? (cadr reply)) (value (caddr reply)))
        (if (%fiber? waiting)
            (%wake! waiting (if ok? (lambda () value) (lambda () (%raise-reply value))))
            (waiting ok? value))))))

(define (%reply-condition told)
  (let ((condition (%make-condition (string->symbol (%hash-ref told "type" "exn:fail"))
                                    (%hash-ref told "message" "the request failed")
                                    '())))
    (%set-condition-mark! condition 7 told)
    condition))
(define (%raise-reply told) (%raise (%condition-locate! (%reply-condition told))))

;; The end of a time slice: take a message, if one came, and let the others run.
(define (%tick)
  (if %current-fiber
      (let ((message (%inbox)))
        (when message
          (%outbox! %ack)
          (let ((decoded (%cbor-decode message %data-types)))
            (%atomically (lambda () (%deliver! decoded) (%flush-output)))))
        (%yield))))

;; ---- requests ----
;; The arguments travel as an encoded array in a byte string, so that what the host cannot take of
;; them is a condition here. A request is encoded, and refused where it is too large, before anything is registered; to
;; register and to send is one step, so that no reply can come in between.

(define %message-limit 67108864)

(define (%encode-request id operation arguments)
  (if (and %checking? (not (member operation '("library" "usage" "now"))))
      (%fail 'exn:fail:capability (string-append operation ": nothing is asked for while a program is checked")))
  (let ((bytes (%cbor-encode (list "call" id operation (%cbor-encode arguments)))))
    (if (> (bytevector-length bytes) %message-limit)
        (%fail 'exn:fail:contract
               (string-append operation ": the request has " (number->string (bytevector-length bytes))
                              " bytes; a message may have " (number->string %message-limit)
                              " (message_bytes)")))
    bytes))

;; Ask the host and wait for the answer; only this fiber waits.
(define (%request operation . arguments)
  (let* ((id (%fresh-id)) (bytes (%encode-request id operation arguments)))
    (%park! (string-append operation " (call " (number->string id) ")")
            (lambda (fiber)
              (%fiber-set-request! fiber id)
              (hash-set! %requests id fiber)
              (%outbox! bytes)))))

(define (%forget-request! id)
  (when (hash-has-key? %requests id)
    (hash-remove! %requests id)
    (%outbox! (%cbor-encode (list "cancel" id)))))

;; ---- time: the host's, so that it is recorded and replays ----

(define (current-inexact-milliseconds) (%request "now"))
(define (current-milliseconds) (exact (floor (%request "now"))))
(define (current-seconds) (exact (floor (/ (%request "now") 1000))))

(define (sleep [seconds 0])
  (if (not (and (real? seconds) (>= seconds 0))) (%err-type 'sleep 0 "non-negative number of seconds" seconds))
  (if (eqv? seconds 0) (%yield) (%request "sleep" (inexact seconds)))
  (void))

;; ---- handles ----

(define (%new-handle id what abort)
  (let ((handle (%make-handle id what 'pending #f '() %current-fiber abort)))
    (hash-set! %live id handle)
    (if (> (hash-count %live) %handle-limit)
        (%end-by-limit! "handles" (hash-count %live) %handle-limit))
    handle))

(define (%settle! handle state value)
  (when (eq? (%handle-state handle) 'pending)
    (%handle-set-value! handle value)
    (%handle-set-state! handle state)
    (%handle-set-abort! handle #f)
    (hash-remove! %live (%handle-id handle))
    (let ((waiters (%handle-waiters handle)))
      (%handle-set-waiters! handle '())
      (for-each (lambda (waiter) (waiter handle)) (reverse waiters)))))

(define (%pending? handle) (eq? (%handle-state handle) 'pending))

(define (%when-settled! handle waiter)
  (if (%pending? handle)
      (%handle-set-waiters! handle (cons waiter (%handle-waiters handle)))
      (waiter handle)))

(define (%handle-text handle)
  (string-append (%handle-what handle) " " (number->string (%handle-id handle))))

;; What a settled handle says.
(define (%handle-result handle)
  (case (%handle-state handle)
    ((done) (%handle-value handle))
    ((failed) (%raise (%located (%handle-value handle))))
    (else (%fail 'exn:fail (string-append "await: " (%handle-text handle) " was cancelled")))))

;; What failed at the host has no place of its own: the one that waits for it is where it shows.
(define (%located raised)
  (if (and (exn? raised) (not (%condition-mark raised 3))) (%condition-locate! raised) raised))

(define (%await handle)
  (if (%pending? handle)
      (%park! (%handle-text handle)
              (lambda (fiber)
                (%when-settled! handle
                                (lambda (handle) (%wake! fiber (lambda () (%handle-result handle)))))))
      (%handle-result handle)))

;; Wait until one of them is settled; gives it.
(define (%await-first handles)
  (or (find (lambda (handle) (not (%pending? handle))) handles)
      (%park! (string-append "the first of " (number->string (length handles)) " handles")
              (lambda (fiber)
                (for-each
                 (lambda (handle)
                   (%when-settled! handle (lambda (handle) (%wake! fiber (lambda () handle)))))
                 handles)))))

;; ---- fibers of the program ----

(define (%spawn thunk what)
  (%atomically-fiber
   (lambda (parent)
     (let* ((id (%fresh-id))
            (state (%dynamic-for-fiber (%dynamic)))
            (handle (%make-handle id what 'pending #f '() parent #f))
            (fiber (%make-fiber id #f thunk state handle #f #f)))
       (%handle-set-abort! handle fiber)
       (hash-set! %live id handle)
       (%enqueue! fiber)
       handle))))

(define (%atomically-fiber f)
  (let ((fiber %current-fiber))
    (set! %current-fiber #f)
    (let ((result (f fiber)))
      (set! %current-fiber fiber)
      (if (> (hash-count %live) %handle-limit)
          (%end-by-limit! "handles" (hash-count %live) %handle-limit))
      result)))

;; Stop what a handle stands for, with everything that it began. No after thunks run.
(define (%cancel! handle)
  (when (%pending? handle)
    (let ((abort (%handle-abort handle)))
      (if (%fiber? abort)
          (%kill! abort)
          (if abort (abort)))
      (%settle! handle 'cancelled #f))))

(define (%kill! fiber)
  (let ((request (%fiber-request fiber)))
    (%fiber-set-k! fiber #f)
    (%fiber-set-resume! fiber #f)
    (%fiber-set-what! fiber #f)
    (if request (%forget-request! request))
    (for-each (lambda (handle) (if (eq? (%handle-owner handle) fiber) (%cancel! handle)))
              (hash-values %live))))

;; What nobody caught. In the program's own fiber it ends the execution; in another it is what
;; awaiting that fiber raises. A condition goes to whoever awaits; the fiber is done.
(define (%uncaught-in-fiber obj)
  (let ((handle (and %current-fiber (%fiber-handle %current-fiber))))
    (set! %current-fiber #f)
    (if handle
        (begin (%settle! handle 'failed obj) (%base-k #f))
        (%end! (%error-outcome obj)))))

;; ---- the end of an execution ----

;; From any depth, any fiber. No after thunks run: `finish` wins over all of them.
(define (%end! outcome)
  (set! %current-fiber #f)
  (set! %outcome outcome)
  (%base-k #f))

(define (%end-by-limit! kind used limit)
  (%end! (hash "status" "limit"
               "error" (hash "type" "limit" "kind" kind "used" used "limit" limit
                             "message" (string-append "limit exceeded: " kind " (used "
                                                      (number->string used) ", limit "
                                                      (number->string limit) ")")))))

;; Everything that was under way is over: after finish, an error, a limit, an interrupt.
(define (%clear-fibers!)
  (set! %queue-head '())
  (set! %queue-tail '())
  (for-each (lambda (handle)
              (%handle-set-waiters! handle '())
              (%handle-set-abort! handle #f)
              (%handle-set-state! handle 'cancelled))
            (hash-values %live))
  (hash-clear! %live)
  (hash-clear! %requests)
  (set! %main-fiber #f)
  (set! %current-fiber #f))
