;; llm/budgets.scm — what calls cost the program: token budgets, and what the host says was used.
;;
;; Invariant: a call's tokens are set aside in every budget around it before it is sent, and given back
;; when it is answered, fails or is cancelled; what it really used is charged then.
;;
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
;; The innermost budget around us where one of them has a limit; else #f: nobody need know what a call may take.
(define (%budget-around)
  (let ((budget (%current-budget)))
    (and (let loop ((around budget))
           (and around (or (< (%budget-limit around) +inf.0) (loop (%budget-outer around)))))
         budget)))
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
                        " of " (number->string (%budget-limit budget)) " tokens"
                        (if (> (%budget-reserved budget) 0)
                            (string-append ", " (number->string (%budget-reserved budget))
                                           " more are reserved by calls in flight)")
                            ")"))))

;; The budget of those around us in which a call does not fit, or #f.
(define (%too-tight budget tokens)
  (and budget
       (if (> (+ (%budget-used budget) (%budget-reserved budget) tokens) (%budget-limit budget))
           budget
           (%too-tight (%budget-outer budget) tokens))))

(define (%set-aside! budget tokens)
  (when budget
    (%budget-set-reserved! budget (+ (%budget-reserved budget) tokens))
    (%set-aside! (%budget-outer budget) tokens)))

(define (%settle-budget! budget reserved used)
  (when budget
    (%budget-set-reserved! budget (- (%budget-reserved budget) reserved))
    (%budget-set-used! budget (+ (%budget-used budget) used))
    (%settle-budget! (%budget-outer budget) reserved used)))

(define (%blown budget)
  (and budget
       (if (> (%budget-used budget) (%budget-limit budget)) budget (%blown (%budget-outer budget)))))

;; ---- what was used: the host counts, for the session, over all of its executions ----
(define (%usage) (%request "usage"))
(define (%pick table . names)
  (let ((out (make-hasheq)))
    (let loop ((names names))
      (if (null? names)
          (%close-table! out)
          (begin (hash-set! out (car names) (%hash-ref table (cadr names) #f)) (loop (cddr names)))))))

(define (tokens-used)
  (%pick (%usage) 'prompt "prompt" 'completion "completion" 'total "tokens" 'cached "cached"
         'prompt_tokens "prompt" 'completion_tokens "completion" 'total_tokens "tokens"
         'cached_tokens "cached-tokens"))
(define (cost-used) (%pick (%usage) 'usd "cost" 'calls "calls"))
;; By model: a table of tables with the keys calls, cached, prompt_tokens, completion_tokens, total_tokens,
;; cached_tokens, usd.
(define (usage)
  (let ((models (hash-copy (%hash-ref (%usage) "models" (hash)))))
    (for-each (lambda (name) (hash-set! models name (%close-table! (hash-copy (%hash-ref models name #f))))) (hash-keys models))
    models))
(define (budget-remaining)
  (let ((out (%pick (%usage) 'calls "calls-left" 'tokens "tokens-left" 'usd "cost-left")))
    (hash-set! out 'token-budget (token-budget))
    out))
(define (rate-limits) (hash-copy (%hash-ref (%usage) "rate-limits" (hash))))
(define (heartbeat . ignored) (void))
