;; runtime/fibers.scm — many threads of control in one machine, requests to the host, handles.
;;
;; A fiber is a raw continuation. It runs until it parks: it stores its continuation, says what it
;; waits for, and jumps to the base loop, which runs the next fiber that can go on, or waits for a
;; message of the host. Nothing else ever switches fibers, except the tick at the end of a slice.
;;
;; Invariant: %current-fiber is the running fiber, and #f while the base loop or a step that must
;; not be interrupted is at work. The tick leaves everything alone then. Such a step is short: what
;; concerns many handles or replies is done in pieces.

(define-record-type %fiber ; host/program.c knows the places of state and pool
  (%make-fiber id resume state handle)
  %fiber?
  (id %fiber-id)
  (k %fiber-k %fiber-set-k!)                ; where it goes on; #f: not started, or dead
  (resume %fiber-resume %fiber-set-resume!) ; a thunk to call there
  (state %fiber-state)                      ; the dynamic state that it starts with
  (handle %fiber-handle)                    ; settled by its end; #f: the program itself
  (what %fiber-what %fiber-set-what!)       ; what it waits for: see %what-text; #f while it can run
  (request %fiber-request %fiber-set-request!) ; id of the request it waits for, or #f
  (youngest %fiber-youngest %fiber-set-youngest!) ; of the pending handles that it made, or #f
  (leave %fiber-leave %fiber-set-leave!)    ; a thunk: nobody need wake it any longer; or #f
  (pool %fiber-pool %fiber-set-pool!))      ; what its last await-any left, or #f

;; A handle stands for something that will come: a call's answer, a fiber's value.
(define-record-type handle
  (%handle-of id what abort state waiters slack)
  handle?
  (id %handle-id)
  (what %handle-what)                       ; text for people: "spawned fiber", or ("llm-query" . " call")
  (state %handle-state %handle-set-state!)  ; pending, done, failed, cancelled
  (value %handle-value %handle-set-value!)  ; the value, or the condition
  (waiters %handle-waiters %handle-set-waiters!) ; newest first
  (slack %handle-slack %handle-set-slack!)  ; so many of them may die until the dead are taken out
  (owner %handle-owner %handle-set-owner!)  ; the fiber that made it, #f once it is settled
  (abort %handle-abort %handle-set-abort!)  ; a thunk that stops the work, or the fiber that does it
  (older %handle-older %handle-set-older!)  ; the owner's pending handles are a list, so that to make
  (younger %handle-younger %handle-set-younger!)) ; and to settle one takes the same time among many

(define (%make-handle id what abort) (%handle-of id what abort 'pending '() 8))

(define %current-fiber #f)
(define %main-fiber #f)       ; the fiber that runs the program
(define %base-k #f)           ; the base loop, entered anew: see %make-base!
(define %outcome #f)          ; set: the execution is over
(define %next-id 1)
(define %requests (%make-hash 1 #f)) ; id -> fiber, or procedure (ok? value)
(define %live (%make-hash 1 #f))     ; id -> handle that is pending
(define %arrived '())         ; replies that were taken from a message and not delivered yet
(define %doomed '())          ; killed fibers, whose handles are still to be cancelled, and lists of a
                              ; dead waiter and the handles that still have it
(define %at-a-time 64)        ; so many replies are delivered, or handles cancelled, in one step
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
  (let ((fiber %current-fiber))
    (if (not fiber)
        (if %looking? ; in a macro
            (%fail 'exn:fail:capability "nobody waits while a program is checked")
            (%panic "a fiber parked while none was running")))
    (set! %current-fiber #f)
    (%fiber-set-what! fiber what)
    (setup fiber)
    (%wait-in-place fiber)))

;; Mostly nobody else can run meanwhile: then it waits where it is, and does what the base loop would do, until it is
;; woken. Else it leaves its continuation and goes to the base loop.
(define (%wait-in-place fiber)
  (if (pair? %arrived)
      (%deliver-some!)
      (%take-message!))
  (cond ((or (pair? %doomed) %outcome) (%wait-at-base fiber))
        ((pair? %queue-head)
         (if (eq? (car %queue-head) fiber)
             (let ((resume (%fiber-resume fiber)))
               (set! %queue-head (cdr %queue-head))
               (%fiber-set-resume! fiber #f)
               (set! %current-fiber fiber)
               (resume))
             (%wait-at-base fiber)))
        ((pair? %arrived) (%wait-in-place fiber))
        ((= (hash-count %requests) 0) (%wait-at-base fiber))
        (else
         (%flush-output)
         (%go-on-with fiber (%cbor-decode (%wait) %data-types)))))
(define (%go-on-with fiber message)
  (let ((reply (%only-reply message (%fiber-request fiber))))
    (if reply
        (%take-reply! fiber reply)
        (begin
          (%accept-decoded! message)
          (%wait-in-place fiber)))))

;; The usual message: it has the reply to the fiber's own request, and no other.
(define (%only-reply message id)
  (and (string=? (car message) "replies")
       (let ((replies (cadr message)))
         (and (pair? replies) (null? (cdr replies)) (eqv? (caar replies) id) (car replies)))))
(define (%take-reply! fiber reply)
  (hash-remove! %requests (car reply))
  (%fiber-set-what! fiber #f)
  (%fiber-set-request! fiber #f)
  (set! %current-fiber fiber)
  (if (cadr reply) (caddr reply) (%raise-reply (caddr reply))))

(define (%wait-at-base fiber)
  ((%call/cc
    (lambda (k)
      (if (or (%fiber-what fiber) (%fiber-resume fiber)) (%fiber-set-k! fiber k)) ; else it was killed
      (%base-k #f)))))

;; Run something that no tick may interrupt. It must be short and must not park.
(define (%atomically thunk)
  (let ((fiber %current-fiber))
    (set! %current-fiber #f)
    (let ((result (thunk)))
      (set! %current-fiber fiber)
      result)))

;; Let the other fibers have a turn.
(define (%yield)
  (if (and %current-fiber (or (pair? %queue-head) (pair? %arrived) (pair? %doomed)))
      (%park! "its turn" (lambda (fiber) (%wake! fiber void)))))

;; ---- the base loop ----

(define (%serve-fibers)
  (set! %current-fiber #f)
  (let loop ()
    (if (pair? %arrived)
        (%deliver-some!)
        (%take-message!)) ; one that came in the middle of a slice, while no fiber ran
    (cond (%outcome #t)
          ((pair? %doomed) (%reap!) (loop)) ; first: what began in a killed fiber must not go on
          ((pair? %queue-head)
           (let ((fiber (car %queue-head)))
             (set! %queue-head (cdr %queue-head))
             (if (%fiber-resume fiber) (%run-fiber fiber))
             (loop)))
          ((pair? %arrived) (loop))
          ((= (hash-count %requests) 0) (%deadlock!) (loop))
          (else
           (%flush-output)
           (%accept! (%wait))
           (loop)))))

(define (%run-fiber fiber)
  (let ((k (%fiber-k fiber)) (resume (%fiber-resume fiber)))
    (%fiber-set-k! fiber #f)
    (%fiber-set-resume! fiber #f)
    (cond (k (set! %current-fiber fiber)
             (k resume))
          (else (%begin-fiber fiber resume)))))

;; To its end, where it does not park; then it comes back here from wherever it was taken up again.
(define (%begin-fiber fiber thunk)
  (%set-dynamic! (%fiber-state fiber))
  (set! %current-fiber fiber)
  (%end-fiber fiber (thunk)))
(define (%end-fiber fiber value)
  (if (eq? %current-fiber fiber)
      (begin
        (set! %current-fiber #f)
        (if (%fiber-pool fiber) (%leave-pool! fiber))
        (let ((handle (%fiber-handle fiber)))
          (if handle
              (%settle! handle 'done value)
              (set! %outcome value))))
      (%end-of-another fiber value)))

;; The running fiber went on with a continuation of another one, and has come to that one's end: it is its own.
(define (%end-of-another fiber value)
  (let* ((handle (%fiber-handle %current-fiber))
         (outcome (cond ((not (%fiber-handle fiber)) value) ; the program's end gives one
                        (handle #f)
                        (else (%value-outcome "ok" value)))))
    (%leave-pool! %current-fiber)
    (set! %current-fiber #f)
    (if outcome
        (set! %outcome outcome)
        (%settle! handle 'done value))))

;; Every fiber waits and nothing is on its way: the program is told, where it waits.
(define (%deadlock!)
  (let ((text (string-append "deadlock: " (%who-waits) "; nothing that is running can end that")))
    (%leave! %main-fiber)
    (if %tracing? (%trace-goes-on! %main-fiber))
    (%wake! %main-fiber (lambda () (%fail 'exn:fail:deadlock text)))))

(define (%who-waits)
  (let ((others (filter %fiber-what (filter values (map %fiber-of-handle (hash-values %live))))))
    (string-join
     (map (lambda (fiber)
            (string-append (if (%fiber-handle fiber)
                               (string-append "fiber " (number->string (%fiber-id fiber)))
                               "the program")
                           " waits for " (%what-text (%fiber-what fiber))))
          (cons %main-fiber (if (> (length others) 8) (take others 8) others)))
     ", ")))

;; What a fiber waits for, for people: a text, a handle, or (operation . id) of a request.
(define (%what-text what)
  (cond ((handle? what) (%handle-text what))
        ((pair? what) (string-append (car what) " (call " (number->string (cdr what)) ")"))
        (else what)))

(define (%fiber-of-handle handle)
  (let ((abort (%handle-abort handle))) (and (%fiber? abort) abort)))

(define (%fail kind message)
  (%raise (%condition-locate! (%make-condition kind message '()))))

;; ---- messages ----

(define %ack (%cbor-encode '("ack")))

;; Take a message that came in the middle of a slice, where there is one, and say so: only then
;; does the host send another. While replies of the last one are left, it waits.
(define (%take-message!)
  (and (null? %arrived)
       (let ((message (%inbox)))
         (and message
              (begin
                (%outbox! %ack)
                (%accept! message)
                #t)))))

(define (%accept! message) (%accept-decoded! (%cbor-decode message %data-types)))
(define (%accept-decoded! message)
  (if (string=? (car message) "replies") (set! %arrived (cadr message))))

(define (%deliver-some!)
  (let loop ((n %at-a-time))
    (when (and (> n 0) (pair? %arrived))
      (let ((reply (car %arrived)))
        (set! %arrived (cdr %arrived))
        (%deliver-reply! reply)
        (loop (- n 1))))))

;; An execution is over and what it began goes on: nothing that came may be lost, and what was to be
;; cancelled is.
(define (%finish-pieces!)
  (cond ((pair? %doomed) (%reap!) (%finish-pieces!))
        ((or (pair? %arrived) (%take-message!)) (%deliver-some!) (%finish-pieces!))))

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
    (let ((line (%hash-ref told "line" #f)))    ; of this program, but in a fork of it
      (when line
        (%set-condition-mark! condition 3 line)
        (%set-condition-mark! condition 4 (%hash-ref told "column" #f))))
    condition))
;; What the host says of a call that it refuses for the program's sake ends the program: see check.scm.
(define (%raise-reply told)
  (if (equal? (%hash-ref told "type" #f) "exn:fail:refused")
      (begin
        (%refused-by-host!)
        (%park! "the end of the program" void))
      (%raise (%condition-locate! (%reply-condition told)))))

;; The end of a time slice: take a message, if one came, and let the others run.
(define (%tick)
  (when %current-fiber
    (%atomically (lambda () (%take-message!) (%deliver-some!) (%flush-output)))
    (%yield)))

;; ---- what a run log is told beside the requests themselves: which fiber asks, and where in the program ----
;; Only where the host wants it.

(define %tracing? #f)
(define (%trace! . facts) (%outbox! (%cbor-encode (list "note" "trace" (apply hash facts)))))
(define (%trace-at! . facts)
  (let ((place (%place)))
    (apply %trace! (if place
                       (append (list "source" (car place) "line" (cadr place) "column" (caddr place)) facts)
                       facts))))
(define (%trace-request! id)
  (%trace-at! "id" id "fiber" (if %current-fiber (%fiber-id %current-fiber) 0)))

;; And in which line a fiber waits for something else than a request: whether that was told. Where no line of the
;; program waits (a worker of map-async), there is nothing to tell; nor in llm-query, whose call has its line.
(define (%trace-wait! what)
  (and %tracing? (%place)
       (begin
         (%trace-at! "waits" (%fiber-id %current-fiber) "what" what)
         #t)))
(define (%trace-goes-on! fiber) (%trace! "goes-on" (%fiber-id fiber)))

;; How many items combinators and loops have announced, how many of them they began and how many are done: the
;; host is told when the machine pauses, for an account of the progress.
(define %items 0)
(define %items-begun 0)
(define %items-done 0)
(define %counting? #f) ; most executions count none
(define %items-told? #t) ; as they are now
(define (%announce! n) ; a negative number takes back what will not come
  (when (not (eqv? n 0))
    (set! %counting? #t)
    (set! %items-told? #f)
    (set! %items (+ %items n))))
;; A fiber that ends before its time, by an error or because nobody wants it any longer, takes back what it has
;; announced and did not begin: of each announcement a thunk tells how much that is.
(define %announced (%make-hash 1 #f)) ; fiber -> thunks
(define (%announced! left)
  (hash-set! %announced %current-fiber (cons left (%hash-ref %announced %current-fiber '()))))
(define (%forget-announced! left)
  (let ((others (remq left (%hash-ref %announced %current-fiber '()))))
    (if (null? others)
        (hash-remove! %announced %current-fiber)
        (hash-set! %announced %current-fiber others))))
(define (%retract-announced! fiber)
  (let ((announced (%hash-ref %announced fiber '())))
    (hash-remove! %announced fiber)
    (for-each (lambda (left) (%announce! (- (left)))) announced)))
(define (%item-begins!)
  (set! %counting? #t) ; of an earlier execution, perhaps
  (set! %items-told? #f)
  (set! %items-begun (+ %items-begun 1)))
(define (%item-is-done!)
  (set! %counting? #t)
  (set! %items-told? #f)
  (set! %items-done (+ %items-done 1)))
(define (%tell-items!)
  (unless %items-told?
    (set! %items-told? #t)
    (%outbox! (%cbor-encode (list "note" "items" (list %items %items-begun %items-done))))))
(define (%forget-items!)
  (set! %counting? #f)
  (hash-clear! %announced)
  (set! %items 0)
  (set! %items-begun 0)
  (set! %items-done 0)
  (set! %items-told? #t))

;; ---- requests ----
;; The arguments travel as an encoded array in a byte string, so that what the host cannot take of
;; them is a condition here. A request is encoded, and refused where it is too large, before anything is registered; to
;; register and to send is one step, so that no reply can come in between.

(define %message-limit 67108864)

(define (%encode-request id operation arguments)
  (if %tracing? (%trace-request! id))
  (if (and %looking? (not (member operation '("library" "usage" "now"))))
      (%fail 'exn:fail:capability (string-append operation ": nothing is asked for while a program is checked")))
  (let ((bytes (%call-message id operation (%cbor-encode arguments))))
    (if (> (bytevector-length bytes) %message-limit)
        (%fail 'exn:fail:contract
               (string-append operation ": the request has " (number->string (bytevector-length bytes))
                              " bytes; a message may have " (number->string %message-limit)
                              " (message_bytes)")))
    bytes))

;; A request of C (host/request.c) registered nothing: where what came is not its reply and no more, this is done now.
(define (%reply-otherwise message operation)
  (let ((fiber %current-fiber) (id (- %next-id 1)))
    (set! %current-fiber #f)
    (%fiber-set-what! fiber (cons operation id))
    (%fiber-set-request! fiber id)
    (hash-set! %requests id fiber)
    (%go-on-with fiber (%cbor-decode message %data-types))))
;; Call a function of the embedder. A small call, while nobody else can run, is C's.
(define (%ask-host name arguments)
  (let ((message (%ask-host! name arguments)))
    (if message
        (let ((value (%reply message)))
          (if (eq? value %none) (%reply-otherwise message "host") value))
        (%ask "host" (cons name (%all-plain arguments))))))

;; Ask the host and wait for the answer; only this fiber waits.
(define (%request operation . arguments) (%ask operation arguments))
(define (%ask operation arguments)
  (let* ((id (%fresh-id)) (bytes (%encode-request id operation arguments)))
    (%park! (cons operation id)
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

(define (%check-handle-limit)
  (if (> (hash-count %live) %handle-limit)
      (%end-by-limit! "handles" (hash-count %live) %handle-limit)))

(define (%own! owner handle)
  (let ((older (%fiber-youngest owner)))
    (%handle-set-owner! handle owner)
    (%handle-set-older! handle older)
    (if older (%handle-set-younger! older handle))
    (%fiber-set-youngest! owner handle)
    (hash-set! %live (%handle-id handle) handle)))

(define (%disown! handle)
  (let ((owner (%handle-owner handle)) (older (%handle-older handle)) (younger (%handle-younger handle)))
    (if younger
        (begin
          (%handle-set-older! younger older)
          (%handle-set-younger! handle #f))
        (%fiber-set-youngest! owner older))
    (when older
      (%handle-set-younger! older younger)
      (%handle-set-older! handle #f))
    (%handle-set-owner! handle #f)
    (hash-remove! %live (%handle-id handle))))

(define (%settle! handle state value)
  (when (eq? (%handle-state handle) 'pending)
    (%handle-set-value! handle value)
    (%handle-set-state! handle state)
    (%handle-set-abort! handle #f)
    (%disown! handle)
    (let ((waiters (%handle-waiters handle)))
      (when (pair? waiters)
        (%handle-set-waiters! handle '())
        (let ((tell (lambda (waiter)
                      (let ((call (%waiter-call waiter))) (if call (call handle))))))
          (if (null? (cdr waiters))
              (tell (car waiters))
              (for-each tell (reverse waiters))))))))

(define (%pending? handle) (eq? (%handle-state handle) 'pending))

;; ---- who waits for a handle ----
;; A waiter is a procedure of the handle in a pair, so that it can be dead: its fiber waits no longer.
;; The dead are taken out of a handle when there are about as many of them as of the others.

(define (%waiter call) (cons call '()))
(define (%waiter-call waiter) (car waiter))

(define (%when-settled! handle waiter)
  (if (%pending? handle)
      (%handle-set-waiters! handle (cons waiter (%handle-waiters handle)))
      ((%waiter-call waiter) handle)))

(define (%forget-waiter! waiter handles)
  (set-car! waiter #f)
  (set! %doomed (cons (cons waiter handles) %doomed)))

(define (%drop-waiter! waiter handle)
  (when (%pending? handle)
    (let ((waiters (%handle-waiters handle)) (slack (- (%handle-slack handle) 1)))
      (cond ((and (pair? waiters) (eq? (car waiters) waiter)) (%handle-set-waiters! handle (cdr waiters)))
            ((> slack 0) (%handle-set-slack! handle slack))
            (else
             (let ((alive (filter %waiter-call waiters)))
               (%handle-set-waiters! handle alive)
               (%handle-set-slack! handle (max 8 (length alive)))))))))

;; Nothing that the fiber waited for may wake it from now on.
(define (%leave! fiber)
  (let ((leave (%fiber-leave fiber)))
    (when leave
      (%fiber-set-leave! fiber #f)
      (leave))))

(define (%handle-text handle)
  (let ((what (%handle-what handle)))
    (string-append (if (pair? what) (string-append (car what) (cdr what)) what)
                   " " (number->string (%handle-id handle)))))

;; What a settled handle says.
(define (%handle-result handle)
  (case (%handle-state handle)
    ((done) (%handle-value handle))
    ((failed) (%raise (%located (%handle-value handle))))
    (else (%fail 'exn:fail (string-append "await: " (%handle-text handle) " was cancelled")))))

;; What failed at the host has no place of its own: the one that waits for it is where it shows.
(define (%located raised)
  (when (and (exn? raised) (not (%condition-mark raised 3)))
    (%condition-locate! raised)
    (let* ((told (%condition-mark raised 7)) (place (and (hash? told) (%hash-ref told "place" #f))))
      (when (and place (not (%condition-mark raised 3))) ; no line of the program waits for it: that of the call
        (%set-condition-mark! raised 3 (cadr place))
        (%set-condition-mark! raised 4 (caddr place)))))
  raised)

(define (%await handle)
  (if (%pending? handle)
      (%park! handle
              (lambda (fiber)
                (let ((waiter (%waiter (lambda (handle)
                                         (%fiber-set-leave! fiber #f)
                                         (%wake! fiber (lambda ()
                                                         (if %tracing? (%trace-goes-on! fiber))
                                                         (%handle-result handle)))))))
                  (%fiber-set-leave! fiber (lambda ()
                                             (set-car! waiter #f)
                                             (%drop-waiter! waiter handle)))
                  (%when-settled! handle waiter))))
      (%handle-result handle)))

;; The same, with a word to the run log of the line that waits.
(define (%await-in-sight handle)
  (if (and %tracing? (%pending? handle))
      (%trace-wait! (let ((what (%handle-what handle))) (if (pair? what) (string-append (car what) (cdr what)) what))))
  (%await handle))
;; To park for something else than a handle or a request.
(define (%park-in-sight! what setup)
  (let ((told? (%trace-wait! what)))
    (%park! what setup)
    (if told? (%trace-goes-on! %current-fiber))))

;; Wait until all are settled, or until (enough? handle) holds for one: gives that one, or #f.
(define (%await-until handles enough?)
  (let ((left (length handles)) (found #f) (parked #f) (fiber %current-fiber))
    (define (over?) (or found (= left 0)))
    (define waiter
      (%waiter (lambda (handle)
                 (set! left (- left 1))
                 (if (and (not found) (enough? handle)) (set! found handle))
                 (when (and parked (over?))
                   (set! parked #f)
                   (%wake! fiber void)))))
    (%fiber-set-leave! fiber (lambda () (%forget-waiter! waiter handles)))
    (let loop ((handles handles))
      (when (and (pair? handles) (not (over?)))
        (%atomically (lambda () (%when-settled! (car handles) waiter)))
        (loop (cdr handles))))
    (if (not (over?))
        (%park-in-sight! (string-append (number->string left) " handles")
                         (lambda (fiber) (if (over?) (%wake! fiber void) (set! parked #t)))))
    (%fiber-set-leave! fiber #f)
    (if found (%atomically (lambda () (%forget-waiter! waiter handles))))
    found))

;; ---- the next of many, again and again ----
;; A loop calls await-any with what the last call left, or with that and new handles in front of it.
;; So a fiber remembers what it left, its pool: the handles of a list, all of which tell the pool when
;; they are settled. It says which is next without a look at the others.

(define-record-type %pool
  (%pool-of list last size waiter settled in-order parked)
  #f
  (list %pool-list %pool-set-list!)
  (last %pool-last %pool-set-last!)         ; its last pair: what was appended to it since shows there
  (size %pool-size %pool-set-size!)
  (waiter %pool-waiter %pool-set-waiter!)
  (settled %pool-settled %pool-set-settled!) ; newest first
  (in-order %pool-in-order %pool-set-in-order!) ; those before them, oldest first
  (parked %pool-parked %pool-set-parked!))  ; the fiber, while it waits

(define (%make-pool)
  (let ((pool (%pool-of '() #f 0 #f '() '() #f)))
    (%pool-set-waiter! pool
      (%waiter (lambda (handle)
                 (let ((fiber (%pool-parked pool)))
                   (%pool-set-settled! pool (cons handle (%pool-settled pool)))
                   (when fiber
                     (%pool-set-parked! pool #f)
                     (%fiber-set-leave! fiber #f)
                     (%wake! fiber void))))))
    pool))

(define (%leave-pool! fiber)
  (let ((pool (%fiber-pool fiber)))
    (when pool
      (%fiber-set-pool! fiber #f)
      (%forget-waiter! (%pool-waiter pool) (%pool-list pool)))))

;; The pool of a list, of which (check list) has to hold where it is not known.
(define (%pool-for handles check)
  (let* ((fiber %current-fiber) (known (%fiber-pool fiber)) (tail (and known (%pool-list known))))
    (if (and (pair? tail) (pair? (cdr (%pool-last known)))) (set! tail #f))
    (let loop ((rest handles) (new '()) (n 0) (last #f))
      (cond ((and (pair? tail) (eq? rest tail)) (%join! known handles new n))
            ((pair? rest)
             (if (= n 16) (check handles)) ; a list without an end is found out
             (loop (cdr rest) (cons (car rest) new) (+ n 1) rest))
            (else
             (check handles)
             (%atomically (lambda () (%leave-pool! fiber)))
             (let ((pool (%make-pool)))
               (%fiber-set-pool! fiber pool)
               (%pool-set-last! pool last)
               (%join! pool handles new n)))))))

;; `new` are the last one first. Those that are settled come before all others, as in the list.
(define (%join! pool handles new n)
  (for-each
   (lambda (handle)
     (%atomically
      (lambda ()
        (if (%pending? handle)
            (%when-settled! handle (%pool-waiter pool))
            (%pool-set-in-order! pool (cons handle (%pool-in-order pool)))))))
   new)
  (%pool-set-list! pool handles)
  (%pool-set-size! pool (+ (%pool-size pool) n))
  pool)

;; Wait for the next one that is settled. It is in the pool no longer: (%pool-list pool) is the rest.
(define (%next-of! pool)
  (let ((handle (%atomically (lambda () (%pool-take! pool)))))
    (if (not handle)
        (begin
          (%park-in-sight! (string-append "the first of " (number->string (%pool-size pool)) " handles")
                           (lambda (fiber)
                             (cond ((pair? (%pool-settled pool)) (%wake! fiber void))
                                   (else
                                    (%pool-set-parked! pool fiber)
                                    (%fiber-set-leave! fiber (lambda () (%pool-set-parked! pool #f)))))))
          (%next-of! pool))
        (let* ((handles (%pool-list pool)) (rest (remq handle handles)))
          (if (eq? rest handles)
              (%next-of! pool) ; the program took it out of its list by a mutation
              (begin
                (if (eq? handle (car (%pool-last pool)))
                    (%pool-set-last! pool (if (pair? rest) (last-pair rest) #f)))
                (%pool-set-list! pool rest)
                (%pool-set-size! pool (- (%pool-size pool) 1))
                handle))))))

(define (%pool-take! pool)
  (if (null? (%pool-in-order pool))
      (begin
        (%pool-set-in-order! pool (reverse (%pool-settled pool)))
        (%pool-set-settled! pool '())))
  (let ((settled (%pool-in-order pool)))
    (and (pair? settled)
         (begin
           (%pool-set-in-order! pool (cdr settled))
           (car settled)))))

;; ---- fibers of the program ----

(define (%spawn thunk what)
  (let* ((parent %current-fiber) (id (%fresh-id)) (handle (%make-handle id what #f))
         (fiber (%make-fiber id thunk (%dynamic-for-fiber (%dynamic)) handle)))
    (%handle-set-abort! handle fiber)
    (if %tracing? (%trace-at! "fiber" id "parent" (%fiber-id parent) "what" what))
    (%atomically (lambda () (%own! parent handle) (%enqueue! fiber)))
    (%check-handle-limit)
    handle))

;; Stop what handles stand for, with everything that it began. No after thunks run.
(define (%stop! handle) (%stop-all! (list handle)))
(define (%stop-all! handles)
  (let ((fiber %current-fiber))
    (let loop ((handles handles))
      (let ((left (%atomically (lambda () (%cancel-some! handles)))))
        (when (or (pair? left) (pair? %doomed))
          (%atomically %reap!)
          (%tick) ; a slice hardly ever ends between two pieces
          (loop left))))
    (if (%killed? fiber)
        (begin
          (set! %current-fiber #f)
          (%base-k #f)))))

(define (%cancel-some! handles)
  (let loop ((handles handles) (n %at-a-time))
    (if (and (pair? handles) (> n 0))
        (begin
          (%cancel! (car handles))
          (loop (cdr handles) (- n 1)))
        handles)))

(define (%cancel! handle)
  (when (%pending? handle)
    (let ((abort (%handle-abort handle)))
      (if (%fiber? abort)
          (%kill! abort)
          (if abort (abort)))
      (%settle! handle 'cancelled #f))))

;; The handles that it made are cancelled after it, by %reap!: they may be many, and have made others.
(define (%kill! fiber)
  (let ((request (%fiber-request fiber)))
    (%fiber-set-k! fiber #f)
    (%fiber-set-resume! fiber #f)
    (%fiber-set-what! fiber #f)
    (%fiber-set-request! fiber #f)
    (%leave! fiber)
    (%leave-pool! fiber)
    (if %counting? (%retract-announced! fiber))
    (if %tracing? (%trace-goes-on! fiber))
    (if request (%forget-request! request))
    (if (%fiber-youngest fiber) (set! %doomed (cons fiber %doomed)))))

(define (%killed? fiber)
  (let ((handle (%fiber-handle fiber))) (and handle (eq? (%handle-state handle) 'cancelled))))

(define (%reap!)
  (let loop ((n %at-a-time))
    (when (and (> n 0) (pair? %doomed))
      (let ((item (car %doomed)))
        (cond ((%fiber? item)
               (let ((handle (%fiber-youngest item)))
                 (if handle (%cancel! handle) (set! %doomed (cdr %doomed)))))
              ((null? (cdr item)) (set! %doomed (cdr %doomed)))
              (else
               (let ((handle (cadr item)))
                 (set-cdr! item (cddr item))
                 (%drop-waiter! (car item) handle)))))
      (loop (- n 1)))))

;; What nobody caught. In the program's own fiber it ends the execution; in another it is what
;; awaiting that fiber raises. A condition goes to whoever awaits; the fiber is done.
(define (%uncaught-in-fiber obj)
  (let ((handle (and %current-fiber (%fiber-handle %current-fiber))))
    (if %current-fiber (%leave-pool! %current-fiber))
    (if (and %counting? %current-fiber) (%retract-announced! %current-fiber))
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
  (set! %arrived '())
  (set! %doomed '())
  (for-each (lambda (handle)
              (%handle-set-owner! handle #f)
              (%handle-set-older! handle #f)
              (%handle-set-younger! handle #f)
              (%handle-set-waiters! handle '())
              (%handle-set-abort! handle #f)
              (%handle-set-state! handle 'cancelled))
            (hash-values %live))
  (hash-clear! %live)
  (hash-clear! %requests)
  (set! %main-fiber #f)
  (set! %current-fiber #f))
