;; runtime/main.scm — the message loop: what a message of the host does, and what an execution comes back
;; with.
;;
;; Invariant: an execution ends with exactly one "done" message, whatever ended it: its value, finish, an
;; error, a limit or an interrupt.

;; ---- standard output and error: kept here, sent to the host when the machine pauses ----

(define %stdout (open-output-string))
(define %stderr (open-output-string))
(%set-default-ports! (open-input-string "") %stdout %stderr)
(current-input-port (%default-port 0))
(current-output-port %stdout)
(current-error-port %stderr)
(define %output-limit 1048576)

(define (%flush-port port name)
  (let ((text (%port-take! port)))
    (if (not (string-null? text))
        (%outbox! (%cbor-encode (list "note" name text))))))
(define (%flush-output)
  (if %counting? (%tell-items!))
  (unless (%nothing-written? %stdout %stderr)
    (%flush-port %stdout "out")
    (%flush-port %stderr "err")))

;; ---- outcomes ----

(define (%cut-text text)
  (if (> (string-length text) %output-limit) (substring text 0 %output-limit) text))

(define (%value-text v)
  (cond ((string? v) v)
        ((number? v) (number->string v))
        ((or (void? v) (%default? v)) "")
        (else
         (let ((values (%values->list v)))
           (if (and (pair? values) (null? (cdr values)))
               (%->string v 0 0)
               (string-join (map (lambda (v) (%->string v 0 0)) values) "\n"))))))

;; What an execution comes back with: a table of the fields of "done", or for most values the message as it is
;; sent, in a pair with whether the status is "ok". Keys that would say nothing are left out.
(define (%value-outcome status v)
  (or (if (syntax? v)
          (%plain-outcome status %scoped-shown %output-limit #f)
          (%plain-outcome status v %output-limit))
      (%printed-outcome status v)))
(define %scoped-shown (%->string (%make-scoped "" 0 #f 0 #f) 0 0)) ; no more of it is shown, and it has no data form
(define (%printed-outcome status v)
  (let* ((text (%value-text v)) (lineage (%string-lineage text)) (data (%data-of v text))
         (long? (> (string-length text) %output-limit)))
    (if (and %tracing? (pair? lineage)) (%trace! "parts" (%string-parts text %output-limit)))
    (cond ((or long? (pair? lineage))
           (let ((out (make-hash)))
             (hash-set! out "status" status)
             (hash-set! out "value" (%cut-text text))
             (if long? (hash-set! out "cut" #t))
             (if (not (eq? data %none)) (hash-set! out "data" data))
             (if (pair? lineage) (hash-set! out "lineage" lineage))
             (if (and (not long?) (%written-here? v data)) (hash-set! out "written" (%written-text v)))
             out))
          ((not (%written-here? v data)) (hash "status" status "value" text "data" data))
          ((eq? data %none) (hash "status" status "value" text "written" (%written-text v)))
          (else (hash "status" status "value" text "data" data "written" (%written-text v))))))

;; The value as `write` shows it. Lists and vectors of what crosses the host can write itself.
(define (%written-here? v data)
  (or (eq? data %none) (and (not (pair? v)) (or (hash? v) (set? v) (box? v) (%record? v)))))
(define (%written-text v)
  (%cut-text (string-join (map (lambda (v) (%->string v 1 0)) (%values->list v)) "\n")))

;; The value itself, where it can cross and is not too large.
(define (%data-of v text)
  (cond ((string? v) (if (> (string-length v) %output-limit) %none #t)) ; the text is the value
        ((or (void? v) (procedure? v) (syntax? v) (handle? v) (> (string-length text) %output-limit)) %none)
        (else (%catch (lambda (condition) %none)
                      (lambda () (%cbor-encode v))))))

;; In a conversation the variable `_` holds the last value; void and several values leave it as it was.
(define %conversation? #f)
(define (%begin-conversation!)
  (set! %conversation? #t)
  (if (eq? (%environment-ref (interaction-environment) '_ %none) %none)
      (%environment-define! (interaction-environment) '_ (void))))
(define (%remember! v)
  (if (not (or (void? v) (%default? v) (not (= (length (%values->list v)) 1))))
      (%environment-define! (interaction-environment) '_ v)))

;; A program that begins with #lang racket has printed its values; the last one is its value all the same.
(define (%program-outcome evaluate text name)
  (let ((v (evaluate text (interaction-environment) name)))
    (if %conversation? (%remember! v))
    (if %show
        (hash-set (%hash-immutable (%printed-outcome "ok" v)) "shown" #t)
        (%value-outcome "ok" v))))

(define (%error-outcome obj) (hash "status" "error" "error" (%describe-error obj)))

(define (%describe-error obj)
  (if (exn? obj)
      (let ((out (make-hash)))
        (hash-set! out "type" (symbol->string (%rtd-name (%record-rtd obj))))
        (hash-set! out "message" (%cut-text (exn-message obj)))
        (hash-set! out "irritants" (map (lambda (i) (%cut (%->string i 1 0) 1000))
                                        (let ((irritants (%condition-irritants obj))) (if (list? irritants) irritants '()))))
        (let ((source (%condition-mark obj 2)))
          (if (string? source) (hash-set! out "source" source)))
        (if (%condition-mark obj 3)
            (begin (hash-set! out "line" (%condition-mark obj 3))
                   (hash-set! out "column" (%condition-mark obj 4))))
        (let ((hint (%condition-advice obj (if (or (exn:fail:contract:variable? obj) (exn:fail:syntax? obj))
                                               (%environment-names (interaction-environment))
                                               '()))))
          (if hint (hash-set! out "hint" hint)))
        (let* ((scheme (%condition-mark obj 5)) (python (%python-frames obj))
               (trace (append python (if (pair? scheme) (map %frame-text scheme) '()))))
          (if (pair? trace) (hash-set! out "backtrace" trace)))
        out)
      (let ((out (make-hash)))
        (hash-set! out "type" "raise")
        (hash-set! out "message" (%cut-text (string-append "uncaught value: " (%cut (%->string obj 1 0) 2000))))
        (let ((place (%raised-place obj)))
          (when place
            (if (string? (car place)) (hash-set! out "source" (car place)))
            (hash-set! out "line" (cadr place))
            (hash-set! out "column" (caddr place))))
        out)))

;; Where in Python it failed, as the host told it: texts, the innermost first, as ours are.
(define (%python-frames condition)
  (let* ((told (%condition-mark condition 7))
         (frames (if (hash? told) (%hash-ref told "frames" '()) '())))
    (if (and (list? frames) (every string? frames)) frames '())))

(define (%frame-text frame)
  (let ((name (car frame)) (line (cadr frame)) (column (caddr frame)))
    (string-append (if name (%->string name 0 0) "the program")
                   (if (and line (not (eqv? line 0)))
                       (string-append " (line " (number->string line) ", column " (number->string column) ")")
                       ""))))

;; ---- a program ends itself ----

(define (finish v)
  (let ((v (%resolved 'finish v)))
    (if %conversation? (%remember! v))
    (%end! (%value-outcome "finished" v))))

;; The value with the text of each scoped value in its place, in lists, vectors, tables and boxes too.
;; A handle among them is an error: what it stands for may not be there yet.
(define (%resolved who v)
  (define (handle-found v)
    (%fail 'exn:fail:contract
           (string-append (symbol->string who) ": got an async handle; await it first: (" (symbol->string who)
                          " (syntax-e (await handle))), or (await-all handles) for a list")))
  (define (walk v)
    (cond ((syntax? v) (%unwrap v))
          ((handle? v) (handle-found v))
          ((pair? v)
           (let loop ((rest v) (done '()))
             (cond ((pair? rest) (loop (cdr rest) (cons (walk (car rest)) done)))
                   ((null? rest) (reverse done))
                   (else (append-reverse done (walk rest))))))
          ((vector? v) (vector-map walk v))
          ((hash? v)
           (let loop ((entries (hash->list v)) (out (hash-clear (if (immutable? v) v (%hash-immutable v)))))
             (if (pair? entries)
                 (loop (cdr entries) (hash-set out (walk (caar entries)) (walk (cdar entries))))
                 out)))
          ((box? v) (box (walk (unbox v))))
          ((set? v) (list->set (map walk (set->list v))))
          ((struct? v) (apply %record (%record-rtd v) (map walk (struct->list v))))
          (else v)))
  (cond ((syntax? v) (%unwrap v))
        ((handle? v) (handle-found v))
        ((not (or (pair? v) (vector? v) (hash? v) (box? v) (set? v) (struct? v))) v)
        ;; what can cross whole holds neither; circular data does not, and is shown as it is
        ((%catch (lambda (condition) (not (string-prefix? (%condition-message condition) "cyclic")))
                 (lambda () (%cbor-encode v) #f))
         (walk v))
        (else v)))

(define (finish-var name)
  (let ((symbol (if (string? name) (string->symbol name) name)))
    (if (not (symbol? symbol)) (%err-type 'finish-var 0 "name of a variable" name))
    (let ((v (%environment-ref (interaction-environment) symbol %none)))
      (if (eq? v %none)
          (%fail 'exn:fail:contract:variable (string-append "finish-var: unbound variable: " (symbol->string symbol)))
          (finish v)))))

;; ---- slips that the core has seen (slip.h) ----

(define (%warn-of-slip slip)
  (let ((kind (car slip)) (a (cadr slip)) (b (caddr slip)))
    (case kind
      ((0)
       (%warn! "equal?: the result of an LLM call was compared with "
               (if a (%shown a 60) "that of another one")
               ", which it never equals: unwrap its text first, with (syntax-e v)."))
      ((1)
       (%warn! (if b "hash: there is no key " "hash-ref: there is no key ") (%shown a 60)
               (if b "; the table has the " ", and the default was taken; the table has the ")
               (if (string? a) "symbol" "string") " of that name, which is another key."))
      ((3)
       (%warn! "hash: the result of an LLM call is the key of a table or set, or a part of one: results with one text are"
               " told apart. Unwrap the text first, with (syntax-e v)."))
      ((4)
       (%warn! "hash-ref: there is no key " (%shown a 60) ", and the default was taken; the table has " (%shown b 60)
               ", and capitals count."))
      ((5)
       (%warn! "equal?: the text " (%shown b 60) " was compared with the symbol " (symbol->string a)
               ", which it never equals: write the data as texts, or make a symbol of the text by (string->symbol text)."))
      (else
       (let ((close (%suggest (if (symbol? a) a (string->symbol (%->string a 0 0)))
                              (map (lambda (key) (if (string? key) (string->symbol key) key)) (hash-keys b)))))
         (%warn! "hash-ref: there is no key " (%shown a 60) ", and the default was taken"
                 (if (pair? close) (string-append "; did you mean " (%alternatives (map symbol->string close)) "?")
                     (string-append "; the keys are "
                                    (string-join (map (lambda (key) (%->string key 0 0)) (hash-keys b)) ", ") "."))))))))

;; ---- messages ----

(define (%option options name otherwise) (%hash-ref options name otherwise))

(define (%take-options! options)
  (let ((limits (%option options "limits" #f)) (due (%option options "replies" #f)))
    (when limits
      (set! %handle-limit (%hash-ref limits "handles" %handle-limit))
      (set! %output-limit (%hash-ref limits "output" %output-limit))
      (set! %message-limit (%hash-ref limits "message" %message-limit)))
    (for-each %grant! (%option options "grants" '()))
    (set! %tracing? (%option options "trace" %tracing?))
    (%keep-parts! %tracing?)
    (if (%option options "conversation" #f) (%begin-conversation!))
    (if due
        (for-each (lambda (reply) (%atomically (lambda () (%deliver-reply! reply)))) due))))

;; A function of the embedder becomes a procedure of its name.
(define (%grant! name)
  (let ((symbol (string->symbol name)))
    (%environment-define! (interaction-environment) symbol
      (%procedure-named symbol
        (lambda arguments (%ask-host name arguments))))))
(define (%all-plain arguments)
  (let loop ((rest arguments))
    (cond ((null? rest) arguments)
          ((syntax? (car rest)) (map %plain arguments))
          (else (loop (cdr rest))))))

;; thunk: the program, which gives the outcome.
(define (%execute thunk)
  (set! %outcome #f)
  (if (> (hash-count %warned) 0) (hash-clear! %warned))
  (if %counting? (%forget-items!))
  (set! %main-fiber (%make-fiber 0 #f (%dynamic-empty) #f))
  (cond ((null? %queue-head)
         (%begin-fiber %main-fiber thunk)
         (%finish-execution))
        (else ; what an earlier execution left comes first
         (%fiber-set-resume! %main-fiber thunk)
         (%enqueue! %main-fiber)
         (%base))))

;; The base of every stack. Its continuation is captured once, when the image is made, and is entered by whoever
;; has nothing left to return to.
(define (%base)
  (%serve-fibers)
  (%finish-execution))
(define (%make-base!)
  (%call/cc (lambda (k) (set! %base-k k)))
  (if %main-fiber (%base)))
(%make-base!)

(define (%finish-execution)
  (let ((outcome %outcome))
    (set! %outcome #f)
    (if (%fiber-pool %main-fiber) (%leave-pool! %main-fiber))
    (set! %main-fiber #f)
    (%forget-program!)
    (let ((slips (%take-slips!)))
      (if (pair? slips) (for-each %warn-of-slip (reverse slips))))
    (if (if (pair? outcome) (car outcome) (equal? (%hash-ref outcome "status" "") "ok"))
        (%finish-pieces!)
        (%clear-fibers!))
    (%flush-output)
    (%outbox! (if (pair? outcome) (cdr outcome) (%cbor-encode (list "done" outcome) #t)))))

;; Most messages are a short program and nothing else: C takes the first steps of its execution, and where it gives a
;; plain value and nothing else is left to do, the last ones (see host/program.c). The rest is as in %execute.
(define %new-main-fiber (%make-fiber 0 #f (%dynamic-empty) #f))
(define %ok "ok")
(define (%main)
  (let ((begun (%begin-program)))
    (if begun
        (let* ((fiber %main-fiber)
               (value (cond ((pair? begun)
                             (if (cddr begun) (%note-structs! %program-forms))
                             (%run-forms (car begun) (interaction-environment) (cadr begun) #f %program '()))
                            (else (begun)))))
          (if (not (%end-program fiber value))
              (begin
                (%end-fiber fiber (%value-outcome "ok" value))
                (%finish-execution))))
        (let ((program (%eval-message)))
          (if program
              (%execute (lambda () (%program-outcome %eval-program (car program) (cdr program))))
              (%main-message))))))

(define (%main-message)
  (let* ((message (%cbor-decode (%inbox) %data-types)) (kind (car message)))
    (cond ((string=? kind "eval")
           (let* ((options (cadr message)) (check (%option options "check" #f))
                  (source (%hash-ref options "source" "")) (name (%option options "name" "program")))
             (%execute
              (lambda ()
                (when (> (hash-count options) 2) ; more than source and name
                  (%take-options! options)
                  (if (%option options "context" #f) (%context-replaced!)))
                (if (equal? check "only")
                    (%value-outcome "ok" (%check-program source (interaction-environment) name))
                    (%program-outcome (cond ((not check) %eval-program)
                                            ((equal? check "first") %eval-checked)
                                            (else %eval-unchecked))
                                      source name))))))
          ((string=? kind "state")
           (%execute (lambda () (hash "status" "ok" "data" (%cbor-encode (%user-definitions))))))
          (else
           (if (string=? kind "collect") (%collect-garbage))
           (%outbox! (%cbor-encode (list "done" (hash "status" "ok"))))))))

;; The names that programs have given a meaning of their own.
(define (%user-definitions)
  (let ((core (%core-environment)) (top (interaction-environment)))
    (map symbol->string
         (sort (remove-duplicates ; a library's name that a program has defined comes twice
                (filter (lambda (name)
                          (not (eq? (%environment-ref top name %none)
                                    (%environment-ref core name %none))))
                        (%environment-names top))
                eq?)
               symbol<?))))

;; The host ends the execution, and knows why. The machine has dropped what was running; nothing of it
;; can object.
(define (%interrupted message)
  (%clear-fibers!)
  (%forget-program!)
  (%take-slips!)
  (set! %outcome #f)
  (%flush-output)
  (%outbox! (%cbor-encode (list "done" (hash "status" "cancelled")))))

(define (%out-of-memory)
  (%clear-fibers!)
  (%forget-program!)
  (%take-slips!)
  (set! %outcome #f)
  (%flush-output)
  (%outbox! (%cbor-encode (list "done" (hash "status" "limit"
                                             "error" (hash "type" "limit" "kind" "memory_bytes"
                                                           "message" "limit exceeded: memory_bytes"))))))

;; ---- libraries: the host reads their files ----

(define (%library-path name)
  (string-append (string-join (map (lambda (part) (%->string part 0 0)) name) "/") ".sld"))
(define (%folder-of path)
  (let ((slash (%string-last-index-of path "/"))) (if slash (substring path 0 (+ slash 1)) "")))

(set! %fetch-library (lambda (name) (%request "library" (%library-path name))))
(set! %fetch-include
  (lambda (path library)
    (%request "library" (if library (string-append (%folder-of (%library-path library)) path) path))))

;; ---- the scaffold ----

(%protect! 'finish 'finish-var 'llm-query 'llm-query-async 'await 'await-all 'await-all-syntax 'await-any
           'map-async 'cancel 'spawn 'handle? 'handle-done? 'with-timeout 'syntax-e 'datum->syntax 'syntax?
           'context 'get-context 'context-length 'context-slice 'context-lines 'context-search
           'context-chunks 'context-names
           'token-budget 'usage 'tokens-used 'cost-used 'rate-limits 'budget-remaining 'model-for
           'checkpoint 'restore 'heartbeat 'py-exec 'py-eval 'py-set! 'py-call
           'unsafe-raw-query 'unsafe-interpolate 'unsafe-overwrite 'unsafe-exec-sub-output)

;; ---- hooks ----

(set! %uncaught-handler %uncaught-in-fiber)
(%set-hook! 'interrupt %interrupted)
(%set-hook! 'memory-limit %out-of-memory)
(%set-hook! 'tick %tick)
(%set-hook! 'main %main)
(interaction-environment)
(%know-driver!)
