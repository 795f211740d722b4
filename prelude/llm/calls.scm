;; llm.scm — the LLM API: calls, scoped values, handles, budgets, checkpoints, Python.

;; ---- scoped values: text that a model wrote, with where it came from ----
;; Opaque on purpose: text that came from outside gets into the program by syntax-e, which the
;; scope log shows.

;; The type's name is what an error shows where text was expected.
(define-record-type |scoped value: use (syntax-e v)|
  (%make-scoped text call model depth)
  syntax?
  (text %scoped-text)
  (call %scoped-call)
  (model %scoped-model)
  (depth %scoped-depth))

(define (%preview text)
  (if (> (string-length text) 80) (substring text 0 80) text))

(define (%log! op preview scope . more)
  (%outbox! (%cbor-encode
             (list "note" "log"
                   (apply hash "op" op "preview" (%preview (if (string? preview) preview (%->string preview 0 0)))
                          "scope" scope more)))))

;; The text, as a string that carries the call it came from, and those that the call was made from.
(define (%unwrap v)
  (set! %lineage? #t)
  (if (eqv? (%scoped-call v) 0)
      (%scoped-text v)
      (%string-with-lineage (%scoped-text v) (list (%scoped-call v)))))
(define %lineage? #f) ; whether any string of this session can carry one

(define (syntax-e v)
  (cond ((syntax? v)
         (%log! "syntax-e" (%scoped-text v) "sandbox" "call-id" (%scoped-call v))
         (%unwrap v))
        ((string? v) v)
        ((handle? v)
         (%fail 'exn:fail:contract
                "syntax-e: got an async handle; await it first: (syntax-e (await handle))"))
        (else (%err-type 'syntax-e 0 "scoped value" v))))

(define (datum->syntax context text)
  (if (not (string? text)) (%err-type 'datum->syntax 1 "string" text))
  (%log! "datum->syntax" text "sandbox")
  (if (syntax? context)
      (%make-scoped text (%scoped-call context) (%scoped-model context) (%scoped-depth context))
      (%make-scoped text 0 #f 0)))
(define syntax->datum syntax-e)

;; The ids of the calls that a value's texts derive from, ascending: those that its text came out
;; of, and those that went into their prompts.
(define (provenance v)
  (cond ((syntax? v) (%string-lineage (%unwrap v)))
        ((string? v) (%string-lineage v))
        ((or (not %lineage?) (not (or (pair? v) (vector? v) (hash? v) (%record? v)))) '())
        (else (%string-lineage (%->string v 1 0))))) ; the printer gathers, and knows cycles
(define (%lineages-joined a b)
  (cond ((null? a) b)
        ((null? b) a)
        (else (%string-lineage (%string-with-lineage (%string-with-lineage "" a) b)))))
(define (%with-lineage v ids)
  (cond ((null? ids) v)
        ((string? v) (%string-with-lineage v ids))
        ((list? v) (map (lambda (item) (%with-lineage item ids)) v))
        ((vector? v) (vector-map (lambda (item) (%with-lineage item ids)) v))
        ((hash? v) ; as messages bring them: immutable
         (let loop ((entries (hash->list v)) (v v))
           (if (null? entries)
               v
               (loop (cdr entries) (hash-set v (caar entries) (%with-lineage (cdar entries) ids))))))
        (else v)))

;; ---- token budgets ----
;; A budget is what (parameterize ([token-budget n]) …) sets: how many tokens, used, and set aside
;; for calls that are under way. A call is charged to every budget around it.

(define-record-type %budget
  (%make-budget limit used reserved outer)
  %budget?
  (limit %budget-limit)
  (used %budget-used %budget-set-used!)
  (reserved %budget-reserved %budget-set-reserved!)
  (outer %budget-outer))

(define %token-budget-rtd (%make-rtd 'parameter %parameter-rtd '#()))

(define (%to-budget n)
  (cond ((%budget? n) n)
        ((and (real? n) (not (nan? n)) (>= n 0)) (%make-budget n 0 0 (%current-budget)))
        (else (%fail 'exn:fail:contract
                     (string-append "token-budget: expected a non-negative number, got " (%bounded-text n))))))

(define token-budget
  (%record %token-budget-rtd (%make-budget +inf.0 0 0 #f) (lambda (n) (%to-budget n)) 'token-budget))

(define (%current-budget) (%parameter-value token-budget))
(define (%budget-left budget) (- (%budget-limit budget) (%budget-used budget)))

;; (token-budget) is what is left.
(%set-rtd-apply! %token-budget-rtd
  (lambda (p . arguments)
    (if (null? arguments)
        (let ((left (%budget-left (%current-budget)))) (if (< left 0) 0 left))
        (apply %parameter-call p arguments))))

(define (%over-budget what budget)
  (%fail 'exn:fail:budget
         (string-append "token budget exceeded: " what " (used " (number->string (%budget-used budget))
                        " of " (number->string (%budget-limit budget)) " tokens)")))

(define (%reserve! tokens)
  (let ((budget (%current-budget)))
    (let loop ((b budget))
      (when b
        (if (> (+ (%budget-used b) (%budget-reserved b) tokens) (%budget-limit b))
            (%over-budget (string-append "a call of about " (number->string tokens)
                                         " tokens does not fit, it was not sent")
                          b))
        (loop (%budget-outer b))))
    (let loop ((b budget))
      (when b
        (%budget-set-reserved! b (+ (%budget-reserved b) tokens))
        (loop (%budget-outer b))))
    budget))

(define (%settle-budget! budget reserved used)
  (when budget
    (%budget-set-reserved! budget (- (%budget-reserved budget) reserved))
    (%budget-set-used! budget (+ (%budget-used budget) used))
    (%settle-budget! (%budget-outer budget) reserved used)))

(define (%blown budget)
  (and budget
       (if (> (%budget-used budget) (%budget-limit budget)) budget (%blown (%budget-outer budget)))))

;; ---- calls ----

(define (%check-text who keyword v scoped-too?)
  (cond ((string? v) v)
        ((and scoped-too? (syntax? v)) (%unwrap v))
        ((syntax? v)
         (%fail 'exn:fail:contract
                (string-append who ": " keyword " got a scoped value; write (syntax-e v) to use its text")))
        ((handle? v)
         (%fail 'exn:fail:contract
                (string-append who ": " keyword " got an async handle; write (syntax-e (await handle))")))
        (else
         (%fail 'exn:fail:contract
                (string-append who ": " keyword " must be a string, got " (%bounded-text v)
                               "; (format \"~a\" v) makes text of anything")))))

(define (%takes-temperature? model)
  (or (not model)
      (let* ((parts (%string-split model "/" #f #f)) (name (last parts)))
        (not (and (> (string-length name) 1)
                  (char=? (string-ref name 0) #\o)
                  (char-numeric? (string-ref name 1)))))))

(define (%check-call who instruction model temperature max-tokens json recursive)
  (if (and json (not (string-contains? (string-downcase instruction) "json")))
      (%fail 'exn:fail:contract
             (string-append who ": #:json #t needs the word \"json\" in the instruction (OpenAI API requirement);"
                            " say for example \"Answer in JSON with the keys ...\"")))
  (if (and model (not (string? model)))
      (%fail 'exn:fail:contract (string-append who ": #:model must be a string, got " (%bounded-text model))))
  (if (and temperature (not (and (real? temperature) (<= 0 temperature 2))))
      (%fail 'exn:fail:contract
             (string-append who ": #:temperature must be a number from 0 to 2, got " (%bounded-text temperature))))
  (if (and temperature (not (%takes-temperature? model)))
      (%fail 'exn:fail:contract
             (string-append who ": model " model " does not take #:temperature (o-series models have none); leave it out")))
  (if (not (or (boolean? recursive) (and (exact-integer? recursive) (> recursive 0))))
      (%fail 'exn:fail:contract
             (string-append who ": #:recursive must be #t, #f or how many levels deep, got " (%bounded-text recursive))))
  (if (and max-tokens (not (and (exact-integer? max-tokens) (> max-tokens 0))))
      (%fail 'exn:fail:contract
             (string-append who ": #:max-tokens must be a positive integer, got " (%bounded-text max-tokens)))))

;; Send one call; gives its handle. `op` is its name in the log.
(define (%start-call op instruction data model temperature max-tokens json image images recursive)
  (let ((instruction (%check-text op "#:instruction" instruction #f))
        (data (%check-text op "#:data" data #t)))
    (%check-call op instruction model temperature max-tokens json recursive)
    (if (and (string-null? instruction) (string-null? data))
        (%fail 'exn:fail:contract
               (string-append op ": give #:instruction or #:data, for example (" op
                              " #:instruction \"Summarize\" #:data text)")))
    (let* ((tokens (+ (quotient (+ (string-size instruction) (string-size data)) 4) 8 (or max-tokens 0)))
           (budget (%reserve! tokens))
           (id (%fresh-id))
           (from (%lineages-joined (%string-lineage instruction) (%string-lineage data)))
           (pictures (append (if image (list image) '()) (if (list? images) images (list images)))))
      (let ((bytes (%encode-request id "llm"
                                    (list op instruction data model (and temperature (inexact temperature))
                                          max-tokens (and json #t) pictures recursive)))
            (handle (%new-handle id (string-append op " call") (lambda () (%forget-request! id)))))
        (%atomically
         (lambda ()
           (hash-set! %requests id
                      (lambda (ok? value) (%finish-call handle budget tokens from ok? value)))
           (%outbox! bytes)))
        handle))))

(define (%finish-call handle budget reserved from ok? value)
;; value: (text call-id model prompt-tokens completion-tokens depth)
  (if ok?
      (let* ((told (cdr value)) (used (+ (caddr told) (cadddr told))))
        (%settle-budget! budget reserved used)
        (let ((blown (%blown budget)))
          (if blown
              (%settle! handle 'failed
                        (%make-condition 'exn:fail:budget
                                         (string-append "token budget exceeded: used "
                                                        (number->string (%budget-used blown)) " of "
                                                        (number->string (%budget-limit blown)) " tokens")
                                         '()))
              (%settle! handle 'done
                        (%make-scoped (%with-lineage (car value) from) (car told) (cadr told) (list-ref told 4))))))
      (begin
        (%settle-budget! budget reserved 0)
        (%settle! handle 'failed (%reply-condition value)))))

(define (llm-query #:instruction [instruction ""] #:data [data ""] #:model [model #f]
                   #:temperature [temperature #f] #:max-tokens [max-tokens #f] #:json [json #f]
                   #:image [image #f] #:images [images '()] #:recursive [recursive #f])
  (%await (%start-call "llm-query" instruction data model temperature max-tokens json image images recursive)))

(define (llm-query-async #:instruction [instruction ""] #:data [data ""] #:model [model #f]
                         #:temperature [temperature #f] #:max-tokens [max-tokens #f] #:json [json #f]
                         #:image [image #f] #:images [images '()] #:recursive [recursive #f])
  (%start-call "llm-query-async" instruction data model temperature max-tokens json image images recursive))

(define (unsafe-raw-query #:instruction [instruction ""] #:data [data ""] #:model [model #f]
                          #:temperature [temperature #f] #:max-tokens [max-tokens #f] #:json [json #f]
                          #:image [image #f] #:images [images '()] #:recursive [recursive #f])
  (%unwrap
   (%await (%start-call "unsafe-raw-query" instruction data model temperature max-tokens json image images recursive))))

;; ---- handles ----

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
  (let ((v (%await h)))
    (%log! "await" (if (syntax? v) (%scoped-text v) v) "sandbox" "handle" (%handle-id h))
    v))

(define (await-all hs) (map %plain (%await-each 'await-all hs)))
(define (await-all-syntax hs) (%await-each 'await-all-syntax hs))

;; All of them; the first failure in time is the failure of the whole, and the rest is cancelled.
(define (%await-each who hs)
  (%check-handles who hs)
  (%until-all-or-failure hs)
  (map await hs))

(define (%until-all-or-failure hs)
  (let ((pending (filter %pending? hs)))
    (if (and (pair? pending) (not (find (lambda (h) (eq? (%handle-state h) 'failed)) hs)))
        (let ((left (length pending)))
          (%park! (string-append (number->string left) " handles")
                  (lambda (fiber)
                    (for-each
                     (lambda (h)
                       (%when-settled! h
                         (lambda (h)
                           (set! left (- left 1))
                           (if (or (= left 0) (eq? (%handle-state h) 'failed)) (%wake! fiber void)))))
                     pending)))))
    (let ((failed (find (lambda (h) (eq? (%handle-state h) 'failed)) hs)))
      (when failed
        (for-each %cancel! hs)
        (%raise (%handle-value failed))))))

(define (await-any hs)
  (%check-handles 'await-any hs)
  (if (null? hs) (%fail 'exn:fail:contract "await-any: cannot await-any on empty list"))
  (let* ((first (%await-first hs)) (v (await first)))
    (values (%plain v) (remq first hs))))

(define (cancel h)
  (%check-handle 'cancel h)
  (%atomically (lambda () (%cancel! h)))
  (void))

(define (handle-done? h) (not (%pending? (%check-handle 'handle-done? h))))

(define (spawn thunk)
  (if (not (procedure? thunk)) (%err-type 'spawn 0 "procedure of no arguments" thunk))
  (%spawn thunk "spawned fiber"))

;; ---- time ----

(define (current-inexact-milliseconds) (%request "now"))
(define (current-milliseconds) (exact (floor (%request "now"))))
(define (current-seconds) (exact (floor (/ (%request "now") 1000))))

(define (sleep [seconds 0])
  (if (not (and (real? seconds) (>= seconds 0))) (%err-type 'sleep 0 "non-negative number of seconds" seconds))
  (if (eqv? seconds 0) (%yield) (%request "sleep" (inexact seconds)))
  (void))

(define (with-timeout seconds thunk [on-timeout #f])
  (if (not (and (real? seconds) (>= seconds 0)))
      (%err-type 'with-timeout 0 "non-negative number of seconds" seconds))
  (if (not (procedure? thunk)) (%err-type 'with-timeout 1 "procedure of no arguments" thunk))
  (if (not (or (not on-timeout) (procedure? on-timeout)))
      (%err-type 'with-timeout 2 "procedure of no arguments" on-timeout))
  (let* ((work (%spawn thunk "with-timeout"))
         (timer (%spawn (lambda () (sleep seconds)) "timer"))
         (first (%await-first (list work timer))))
    (cond ((eq? first work)
           (%atomically (lambda () (%cancel! timer)))
           (%handle-result work))
          (else
           (%atomically (lambda () (%cancel! work)))
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
         (results (make-vector count #f)) (next 0) (trouble #f))
    (define (worker)
      (let loop ()
        (if (and (< next count) (not trouble))
            (let ((i next))
              (set! next (+ i 1))
              (vector-set! results i
                           (%catch (lambda (condition) (failed condition (vector-ref items i) i))
                                   (lambda () (%result (work (vector-ref items i) i)))))
              (loop)))))
    (let ((workers (let loop ((i (min n count)) (out '()))
                     (if (= i 0) (reverse out) (loop (- i 1) (cons (%spawn worker who) out))))))
      (%until-all-or-failure workers)
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
    (%map-concurrently "map-async" (lambda (item i) (f item)) items n
                       (lambda (condition item i)
                         (cond ((eq? on-error %none) (%raise-at "map-async" condition i))
                               ((not (procedure? on-error)) on-error)
                               ((procedure-arity-includes? on-error 1) (on-error condition))
                               (else (on-error condition item)))))))

;; ---- the end ----

(define (finish v) (%end! (%value-outcome "finished" (if (syntax? v) (%unwrap v) v))))

(define (finish-var name)
  (let ((symbol (if (string? name) (string->symbol name) name)))
    (if (not (symbol? symbol)) (%err-type 'finish-var 0 "name of a variable" name))
    (let ((v (%environment-ref (interaction-environment) symbol %none)))
      (if (eq? v %none)
          (%fail 'exn:fail:contract:variable (string-append "finish-var: unbound variable: " (symbol->string symbol)))
          (finish v)))))

;; ---- what was used ----

(define (%usage) (%request "usage"))
(define (%pick table . names)
  (let ((out (make-hash)))
    (let loop ((names names))
      (if (null? names)
          out
          (begin (hash-set! out (car names) (%hash-ref table (cadr names) #f)) (loop (cddr names)))))))

(define (tokens-used) (%pick (%usage) 'prompt "prompt" 'completion "completion" 'total "tokens" 'cached "cached"))
(define (cost-used) (%pick (%usage) 'usd "cost" 'calls "calls"))
(define (budget-remaining)
  (let ((out (%pick (%usage) 'calls "calls-left" 'tokens "tokens-left" 'usd "cost-left")))
    (hash-set! out 'token-budget (token-budget))
    out))
(define (rate-limits) (hash-copy (%hash-ref (%usage) "rate-limits" (hash))))
(define (heartbeat . ignored) (void))

;; ---- checkpoints ----

(define (%checkpoint-key who key)
  (cond ((string? key) key)
        ((symbol? key) (symbol->string key))
        (else (%err-type who 0 "string or symbol" key))))

(define (checkpoint key v)
  (let ((name (%checkpoint-key 'checkpoint key)) (kept (if (syntax? v) (%unwrap v) v)))
    (%request "checkpoint" name (%cbor-encode kept) (%preview (%->string kept 0 0)))
    v))

(define (restore key [otherwise #f])
  (let ((bytes (%request "restore" (%checkpoint-key 'restore key))))
    (if bytes (%cbor-decode bytes) otherwise)))

;; ---- Python ----
;; What Python does with a text cannot be followed. So whatever it gives back counts as derived from
;; every text that it was given.

(define %python-lineage '())
(define (%python operation . arguments)
  (if %lineage? (set! %python-lineage (%lineages-joined %python-lineage (provenance arguments))))
  (let* ((reply (apply %request operation arguments))
         (note (%hash-ref reply "note" "")) (trouble (%hash-ref reply "stderr" "")))
    (if (not (string-null? trouble)) (write-string trouble (current-error-port)))
    (if (not (string-null? note)) (begin (write-string note (current-error-port)) (newline (current-error-port))))
    reply))

(define (%check-code who code)
  (cond ((string? code) code)
        (else (%err-type who 0 "string of Python code" code))))

(define (py-exec code)
  (%with-lineage (%hash-ref (%python "py-exec" (%check-code 'py-exec code)) "stdout" "") %python-lineage))
(define (py-eval code)
  (let ((reply (%python "py-eval" (%check-code 'py-eval code))))
    (write-string (%hash-ref reply "stdout" ""))
    (%with-lineage (%hash-ref reply "value" (void)) %python-lineage)))
(define (py-set! name v)
  (if (not (or (string? name) (symbol? name))) (%err-type 'py-set! 0 "name of a Python variable" name))
  (%python "py-set!" (if (symbol? name) (symbol->string name) name) (%plain v))
  (void))
(define (py-call object method . arguments)
  (let ((reply (apply %python "py-call" object (if (symbol? method) (symbol->string method) method)
                      (map %plain arguments))))
    (write-string (%hash-ref reply "stdout" ""))
    (%with-lineage (%hash-ref reply "value" (void)) %python-lineage)))

;; ---- unsafe-…: deliberate holes, logged under their names ----

(define (unsafe-interpolate v)
  (if (not (syntax? v)) (%err-type 'unsafe-interpolate 0 "scoped value" v))
  (%log! "unsafe-interpolate" (%scoped-text v) "sandbox" "call-id" (%scoped-call v))
  (%unwrap v))

(define (unsafe-overwrite name v)
  (if (not (symbol? name)) (%err-type 'unsafe-overwrite 0 "symbol" name))
  (%log! "unsafe-overwrite" (symbol->string name) "sandbox")
  (%environment-define! (interaction-environment) name (%plain v))
  (void))

;; Read and evaluate what a model wrote, here, with everything that the program may do.
(define (unsafe-exec-sub-output v)
  (let ((text (if (syntax? v) (%scoped-text v) v)))
    (if (not (string? text)) (%err-type 'unsafe-exec-sub-output 0 "scoped value or string" v))
    (%log! "unsafe-exec-sub-output" text "sandbox")
    (%eval-program (%fenced-code text) (interaction-environment) "sub-output")))

;; The first fenced block of Scheme in a text, or all of it.
(define (%fenced-code text)
  (let ((match (%regexp-match-strings %fence text)))
    (if match (cadr match) text)))
(define %fence (%make-regexp "```[ ]*(?:scheme|racket|lisp)?[^\n]*\n(.*?)```" #t))
