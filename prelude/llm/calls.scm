;; llm/calls.scm — llm-query and llm-query-async: a call's arguments are checked here, it is charged to
;; the budgets around it and sent, and its reply settles a handle with a scoped value.

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

;; A role or alias may be a symbol; what it stands for, the host says.
(define (%model-name model) (if (symbol? model) (symbol->string model) model))
(define (model-for role)
  (if (not (or (string? role) (symbol? role))) (%err-type 'model-for 0 "symbol or string" role))
  (%request "model-for" (%model-name role)))

;; What a vendor's model takes is the host's to say: it refuses a call before it is sent.
(define (%check-call who model temperature max-tokens json recursive)
  (let ((refusal (%call-refusal who model temperature max-tokens json recursive)))
    (if refusal (%fail 'exn:fail:contract refusal))))
(define (%call-refusal who model temperature max-tokens json recursive)
  (cond ((and model (not (string? model)) (not (symbol? model))) (%must-be who "#:model must be a string" model))
        ((and temperature (not (real? temperature))) (%must-be who "#:temperature must be a number from 0 to 2" temperature))
        ((and json (not (eq? json #t)))
         (string-append (%must-be who "#:json must be #t or #f" json) "; what the JSON is to look like is said in #:instruction"))
        ((and recursive (not (eq? recursive #t)) (not (and (exact-integer? recursive) (> recursive 0))))
         (%must-be who "#:recursive must be #t, #f or how many levels deep" recursive))
        ((and max-tokens (not (and (exact-integer? max-tokens) (> max-tokens 0))))
         (%must-be who "#:max-tokens must be a positive integer" max-tokens))
        (else #f)))
(define (%must-be who what v) (string-append who ": " what ", got " (%bounded-text v)))

;; also said before the program runs: runtime/check.scm
(define (%no-instruction op)
  (string-append op ": #:instruction is missing; say what is to be done, for example (" op
                 " #:instruction \"Summarize\" #:data text)"))

;; What a call is made of, checked: (send instruction data pictures) sends it. `op` is its name in the log.
(define (%checked-call op instruction data model temperature max-tokens json image images recursive send)
  (let ((instruction (%check-text op "#:instruction" instruction #f))
        (data (%check-text op "#:data" data #t)))
    (%check-call op model temperature max-tokens json recursive)
    (if (string-null? instruction)
        (%fail 'exn:fail:contract (%no-instruction op)))
    (%before-calls)
    (send instruction data
          (if (or image (pair? images))
              (append (if image (list image) '()) (if (list? images) images (list images)))
              '()))))
(define (%call-lineage instruction data) (%lineages-joined (%string-lineage instruction) (%string-lineage data)))
(define (%call-arguments op instruction data model temperature max-tokens json pictures recursive)
  (list op instruction data (%model-name model) (and temperature (inexact temperature))
        max-tokens json pictures recursive (%take-calls-to-judge!)))

;; Send one call and wait for its reply, where no budget has a say and no trace is kept: nobody needs a handle then.
(define (%call-and-wait op instruction data model temperature max-tokens json image images recursive)
  (%checked-call op instruction data model temperature max-tokens json image images recursive
    (lambda (instruction data pictures)
      (let ((from (%call-lineage instruction data)))
        (%scoped-reply (%ask "llm" (%call-arguments op instruction data model temperature max-tokens json pictures recursive))
                       from)))))

;; Send one call; gives its handle.
(define (%start-call op instruction data model temperature max-tokens json image images recursive)
  (%checked-call op instruction data model temperature max-tokens json image images recursive
    (lambda (instruction data pictures)
      (let* ((budget (%budget-around))
             (tokens (if budget
                         (%request "estimate-tokens" instruction data (length pictures) (or max-tokens 0))
                         0))
             (id (%fresh-id))
             (fiber %current-fiber)
             (from (%call-lineage instruction data))
             (bytes (%encode-request id "llm"
                                     (%call-arguments op instruction data model temperature max-tokens json pictures recursive)))
             (place (and (string=? op "llm-query-async") (%place)))
             (handle #f)
             (tight ; what cannot be sent sets nothing aside, and nobody comes in between
              (%atomically
               (lambda ()
                 (let ((budget (and budget (%budget-around)))) ; another one, perhaps, after the estimate
                   (or (%too-tight budget tokens)
                       (begin
                         (%set-aside! budget tokens)
                         (set! handle (%make-handle id (cons op " call")
                                                    (lambda ()
                                                      (%forget-request! id)
                                                      (%settle-budget! budget tokens 0))))
                         (%own! fiber handle)
                         (hash-set! %requests id
                                    (lambda (ok? value) (%finish-call handle budget tokens from place ok? value)))
                         (%outbox! bytes)
                         #f)))))))
        (if (and %tracing? (pair? from)) (%trace! "id" id "from" from))
        (if tight
            (%over-budget (string-append "a call of about " (number->string tokens)
                                         " tokens does not fit, it was not sent")
                          tight))
        (%check-handle-limit)
        handle))))

;; value: (text call-id model prompt-tokens completion-tokens depth truncated?)
(define (%scoped-reply value from)
  (let ((told (cdr value)))
    (%make-scoped (%with-lineage (car value) from) (car told) (cadr told) (list-ref told 4) (list-ref told 5))))
(define (%finish-call handle budget reserved from place ok? value)
  (if ok? ; value: see %scoped-reply
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
              (%settle! handle 'done (%scoped-reply value from)))))
      (begin
        (%settle-budget! budget reserved 0)
        (if (equal? (%hash-ref value "type" #f) "exn:fail:refused")
            (%refused-by-host!)
            (%settle! handle 'failed (%placed-condition (%reply-condition value) place))))))

(define (%placed-condition condition place)
  (if place (%set-condition-mark! condition 7 (hash-set (%condition-mark condition 7) "place" place)))
  condition)

;; In full: with keywords, budgets, a trace, and every error.
(define %llm-query-in-full
  (let ((llm-query
         (lambda (#:instruction [instruction ""] #:data [data ""] #:model [model #f]
                  #:temperature [temperature #f] #:max-tokens [max-tokens #f] #:json [json #f]
                  #:image [image #f] #:images [images '()] #:recursive [recursive #f])
           (if (or %tracing? (%budget-around))
               (%await (%start-call "llm-query" instruction data model temperature max-tokens json image images recursive))
               (%call-and-wait "llm-query" instruction data model temperature max-tokens json image images recursive)))))
    llm-query))
;; Most calls are plain ones: host/request.c makes them of the keywords and values as they stand.
(define llm-query
  (%procedure-like %llm-query-in-full
    (lambda arguments
      (let ((message (%ask-llm! "llm-query" arguments)))
        (cond ((not message) (apply %llm-query-in-full arguments))
              ((bytevector? message)
               (let ((answer (%answer message arguments)))
                 (if (eq? answer %none)
                     (%scoped-reply (%reply-otherwise message "llm")
                                    (%call-lineage (%argument arguments '#:instruction) (%argument arguments '#:data)))
                     answer)))
              (else
               (if (pair? message) (%look-on! message))
               (%before-calls)
               (apply llm-query arguments)))))))
(define (%argument arguments keyword)
  (let ((found (memq keyword arguments))) (if found (cadr found) "")))

(define (llm-query-async #:instruction [instruction ""] #:data [data ""] #:model [model #f]
                         #:temperature [temperature #f] #:max-tokens [max-tokens #f] #:json [json #f]
                         #:image [image #f] #:images [images '()] #:recursive [recursive #f])
  (%start-call "llm-query-async" instruction data model temperature max-tokens json image images recursive))
