;; llm/combinators.scm — ways to put LLM calls together. Thunks that are independent run concurrently.
;; A thunk may give text, a scoped value, or a handle: all of them become text.

(define (%check-procedure who f position what)
  (if (not (procedure? f)) (%err-type who position what f)))
(define (%check-thunks who thunks)
  (if (not (and (list? thunks) (every procedure? thunks)))
      (%fail 'exn:fail:contract
             (string-append (symbol->string who) ": expected a list of thunks, got " (%bounded-text thunks)
                            "; write (list (lambda () ...) (lambda () ...))"))))
(define (%check-items who items position)
  (if (not (list? items)) (%err-type who position "list" items)))

(define (%text v) (let ((r (%result v))) (if (string? r) r (%->string r 0 0))))

(define (parallel thunks #:max-concurrent [n 20])
  (%check-thunks 'parallel thunks)
  (%check-concurrency "parallel" n)
  (%map-concurrently "parallel" (lambda (thunk i) (thunk)) thunks n
                     (lambda (condition thunk i) (%raise-at "parallel" condition i))))

;; The first that succeeds; the others are cancelled. Where all fail, what the last one raised.
(define (race thunks)
  (%check-thunks 'race thunks)
  (if (null? thunks) (%fail 'exn:fail:contract "race: expected at least one thunk"))
  (let* ((handles (map (lambda (thunk) (%spawn (lambda () (%result (thunk))) "race")) thunks))
         (last #f)
         (first (%await-until handles
                              (lambda (handle)
                                (set! last handle)
                                (eq? (%handle-state handle) 'done)))))
    (%stop-all! handles)
    (%handle-result (or first last))))

;; ((sequence f g …) x): f first.
(define (sequence . fs)
  (for-each (lambda (f) (%check-procedure 'sequence f 0 "procedure")) fs)
  (lambda (x) (let loop ((fs fs) (x x)) (if (null? fs) x (loop (cdr fs) (%result ((car fs) x)))))))

(define (fold-sequential f init items)
  (%check-procedure 'fold-sequential f 0 "procedure (lambda (acc item) ...)")
  (%check-items 'fold-sequential items 2)
  (%counting-turns
   (lambda (turns)
     (%turns-ahead! turns (length items) 1)
     (let loop ((acc init) (items items))
       (if (null? items)
           acc
           (begin
             (%turn! turns #t 1 #t)
             (loop (%result (f acc (car items))) (cdr items))))))))

;; Each item in a fork of this session, from this very point: what one of them sets or defines, the others and
;; this one do not see. In a fork the request is answered by the number of its item, here by the list of what
;; the forks gave. A fork ends when f has returned, whatever this program goes on with: so its error is caught here.
(define (fork-map f items)
  (%check-procedure 'fork-map f 0 "procedure")
  (%check-items 'fork-map items 1)
  (if (null? items)
      '()
      (let ((answer (%request "fork" (length items))))
        (if (exact-integer? answer)
            (%end! (guard (condition (#t (%error-outcome condition)))
                     (%value-outcome "finished" (%resolved 'fork-map (f (list-ref items answer))))))
            answer))))

;; Groups of up to `branch` neighbours are combined, level by level; the groups of a level at once.
;; (tree-reduce texts) merges pairs of texts by a model.
(define (tree-reduce f [items %none] #:branch-factor [branch #f] #:leaf-fn [leaf identity])
  (if (eq? items %none)
      (%tree-reduce %merged f (or branch 2) leaf)
      (%tree-reduce f items (or branch 5) leaf)))
(define (%merged . texts)
  (llm-query #:instruction "Merge these texts: summarise them as one, and keep every fact."
             #:data (string-join (map %text texts) "\n\n")))

(define (%tree-reduce f items branch leaf)
  (%check-procedure 'tree-reduce f 0 "procedure")
  (%check-items 'tree-reduce items 1)
  (if (null? items) (%fail 'exn:fail:contract "tree-reduce: expected a non-empty list of items"))
  (%check-procedure 'tree-reduce leaf 2 "procedure for #:leaf-fn")
  (if (not (and (exact-integer? branch) (>= branch 2)))
      (%fail 'exn:fail:contract (string-append "tree-reduce: #:branch-factor must be 2 or more, got " (%bounded-text branch))))
  (define (combine group)
    (cond ((null? (cdr group)) (car group))
          ((procedure-arity-includes? f (length group)) (%result (apply f group)))
          (else (let loop ((acc (car group)) (rest (cdr group)))
                  (if (null? rest) acc (loop (%result (f acc (car rest))) (cdr rest)))))))
  (define (at-once g items)
    (%map-concurrently "tree-reduce" (lambda (item i) (g item)) items 20
                       (lambda (condition item i) (%raise condition))))
  (let loop ((items (if (eq? leaf identity) items (at-once leaf items))))
    (if (null? (cdr items)) (car items) (loop (at-once combine (%groups items branch))))))

(define (%groups items n)
  (if (<= (length items) n)
      (list items)
      (cons (take items n) (%groups (drop items n) n))))

;; ((recursive-spawn strategy) data): `strategy` gives instructions for a sub-model, which writes its own
;; program over the data and may recurse `depth` levels further; where it gives a procedure, that is
;; called with the data.
(define (recursive-spawn strategy #:depth [depth 1])
  (lambda (data)
    (let ((task (if (procedure? strategy)
                    (if (procedure-arity-includes? strategy 0) (strategy) (strategy data))
                    strategy)))
      (cond ((procedure? task) (%result (task data)))
            ((string? task) (syntax-e (llm-query #:instruction task #:data data #:recursive depth)))
            (else (%result task))))))

(define (fan-out-aggregate map-f reduce-f items #:max-concurrent [n 20])
  (%check-procedure 'fan-out-aggregate map-f 0 "procedure")
  (%check-procedure 'fan-out-aggregate reduce-f 1 "procedure")
  (%result (reduce-f (map-async map-f items #:max-concurrent n))))

;; Options are looked at before the first call: what is wrong would show only after many.
(define (%check-count who keyword n)
  (if (not (and (exact-integer? n) (>= n 0)))
      (%fail 'exn:fail:contract (string-append who ": " keyword " must be a whole number from 0, got " (%bounded-text n)))))
(define (%check-threshold who keyword x)
  (if (not (real? x)) (%fail 'exn:fail:contract (string-append who ": " keyword " must be a number, got " (%bounded-text x)))))

(define (iterate-until f done? init #:max-iter [most 10])
  (%check-procedure 'iterate-until f 0 "procedure")
  (%check-procedure 'iterate-until done? 1 "procedure")
  (%check-count "iterate-until" "#:max-iter" most)
  (let loop ((x init) (i 0))
    (if (or (>= i most) (done? x)) x (loop (%result (f x)) (+ i 1)))))

(define (critique-refine generate critique refine #:max-iter [most 3] #:quality-threshold [threshold #f])
  (%check-procedure 'critique-refine generate 0 "procedure of no arguments")
  (%check-procedure 'critique-refine critique 1 "procedure of the draft")
  (%check-procedure 'critique-refine refine 2 "procedure of draft and critique")
  (%check-count "critique-refine" "#:max-iter" most)
  (if threshold (%check-threshold "critique-refine" "#:quality-threshold" threshold))
  (let loop ((draft (%result (generate))) (i 0))
    (if (>= i most)
        draft
        (let ((said (%result (critique draft))))
          (if (and threshold (%approved? said threshold))
              draft
              (loop (%result (refine draft said)) (+ i 1)))))))
(define (%approved? said threshold)
  (or (and (string? said) (string-contains? (string-downcase said) "approved"))
      (and (real? said) (real? threshold) (>= said threshold))))

(define (with-validation f valid?)
  (lambda arguments
    (let ((v (%result (apply f arguments))))
      (if (valid? v)
          v
          (%fail 'exn:fail (string-append "validation failed: " (%bounded-text v)))))))

;; 'majority: more than half. 'plurality: the most. 'consensus: all the same.
(define (vote thunks #:method [method 'majority])
  (%check-thunks 'vote thunks)
  (if (null? thunks) (%fail 'exn:fail:contract "vote: expected at least one thunk"))
  (%check-vote-method "vote" method)
  (%winner (map %ballot (parallel thunks)) method))
(define (%check-vote-method who method)
  (if (not (memq method '(majority plurality consensus)))
      (%fail 'exn:fail:contract
             (string-append who ": #:method must be 'majority, 'plurality or 'consensus, got " (%bounded-text method)))))
(define (%ballot v) (if (string? v) (string-trim v) v))
(define (%winner ballots method)
  (let ((counts (make-hash)))
    (for-each (lambda (b) (hash-set! counts b (+ 1 (%hash-ref counts b 0)))) ballots)
    (let* ((best (let loop ((entries (hash->list counts)) (best #f))
                   (cond ((null? entries) best)
                         ((or (not best) (> (cdar entries) (cdr best))) (loop (cdr entries) (car entries)))
                         (else (loop (cdr entries) best)))))
           (n (length ballots)))
      (if (case method
            ((majority) (> (* 2 (cdr best)) n))
            ((consensus) (= (cdr best) n))
            (else #t))
          (car best)
          (%fail 'exn:fail
                 (string-append "vote: no " (symbol->string method) " among " (number->string n) " answers; the most frequent, "
                                (%bounded-text (car best)) ", has " (number->string (cdr best))))))))

(define (ensemble thunks #:aggregator [aggregate %model-sections])
  (%check-thunks 'ensemble thunks)
  (%check-procedure 'ensemble aggregate 1 "procedure for #:aggregator")
  (%result (aggregate (parallel thunks))))
(define (%model-sections texts)
  (let loop ((texts texts) (i 1) (out '()))
    (if (null? texts)
        (string-join (reverse out) "\n\n")
        (loop (cdr texts) (+ i 1)
              (cons (string-append "Model " (number->string i) ":\n" (%text (car texts))) out)))))

;; Every item by `cheap`, then `expensive` on the list of what came out.
(define (tiered cheap expensive items)
  (%check-procedure 'tiered cheap 0 "procedure")
  (%check-procedure 'tiered expensive 1 "procedure")
  (%check-items 'tiered items 2)
  (%result (expensive (map-async cheap items))))

;; Items whose cheap result scores below the threshold are done again by `expensive`.
(define (active-learning cheap expensive score items #:threshold [threshold 0.7])
  (%check-procedure 'active-learning cheap 0 "procedure")
  (%check-procedure 'active-learning expensive 1 "procedure")
  (%check-procedure 'active-learning score 2 "procedure")
  (%check-items 'active-learning items 3)
  (%check-threshold "active-learning" "#:threshold" threshold)
  (let ((firsts (map-async cheap items)))
    (%map-concurrently "active-learning"
                       (lambda (pair i)
                         (let ((s (%result (score (cdr pair)))))
                           (if (and (real? s) (< s threshold)) (expensive (car pair)) (cdr pair))))
                       (map cons items firsts) 20
                       (lambda (condition pair i) (%raise-at "active-learning" condition i)))))

;; Calls for the same key are one call, also while the first is still under way.
;; Results of calls with one text are one key.
(define (%memo-key . arguments)
  (map (lambda (v) (if (syntax? v) (cons %memo-key (%scoped-text v)) v)) arguments))
(define (memoized f #:key-fn [key-of %memo-key])
  (%check-procedure 'memoized f 0 "procedure")
  (%check-procedure 'memoized key-of 1 "procedure for #:key-fn")
  (let ((known (make-hash)))
    (lambda arguments
      (let* ((key (apply key-of arguments)) (seen (%hash-ref known key #f)))
        (%result
         (%await-in-sight
          (if (and seen (not (memq (%handle-state seen) '(failed cancelled))))
              seen
              (let ((handle (%spawn (lambda () (%result (apply f arguments))) "memoized")))
                (hash-set! known key handle)
                handle))))))))

(define (choose pred then else-f)
  (lambda arguments
    (%result (if (%result (apply pred arguments)) (apply then arguments) (apply else-f arguments)))))

(define (try-fallback primary fallback)
  (lambda arguments
    (%catch (lambda (condition) (%result (apply fallback arguments)))
            (lambda () (%result (apply primary arguments))))))

;; What thunk gives; where it fails, it is called again, `times` times in all, after a pause that doubles from
;; try to try. The last failure is raised as it is. What would fail just so again is raised at once, unless
;; #:when, a predicate of what was raised, says otherwise.
(define (with-retry thunk #:times [times 3] #:delay [delay 1] #:when [again? %may-pass?])
  (%check-procedure 'with-retry thunk 0 "procedure of no arguments")
  (if (not (and (exact-integer? times) (> times 0)))
      (%fail 'exn:fail:contract (string-append "with-retry: #:times must be a whole number from 1, got " (%bounded-text times))))
  (if (not (and (real? delay) (>= delay 0) (< delay +inf.0)))
      (%fail 'exn:fail:contract (string-append "with-retry: #:delay must be a number of seconds from 0, got " (%bounded-text delay))))
  (%check-procedure 'with-retry again? 3 "procedure of what was raised for #:when")
  (define (try) (let ((v (thunk))) (if (handle? v) (await v) v)))
  (let loop ((left times) (pause delay))
    (if (= left 1)
        (try)
        (let* ((failed? #f)
               (v (guard (condition ((again? condition) (set! failed? #t))) (try))))
          (if failed?
              (begin
                (sleep pause)
                (loop (- left 1) (min (* 2 pause) (max delay %longest-pause))))
              v)))))
(define %longest-pause 60)

;; A slip of the program, a refusal, a budget that is used up, or a request that the provider calls a bad one
;; do not pass with time.
(define (%may-pass? condition)
  (not (or (exn:fail:contract:variable? condition)
           (exn:fail:contract:arity? condition)
           (exn:fail:syntax? condition)
           (and (exn? condition)
                (memq (%rtd-name (%record-rtd condition)) '(exn:fail:capability exn:fail:budget exn:fail:refused)))
           (let* ((told (and (exn? condition) (%condition-mark condition 7)))
                  (status (and (hash? told) (%hash-ref told "status" #f))))
             (and (exact-integer? status) (<= 400 status 499) (not (memv status '(408 409 425 429))))))))

;; ---- from the guide ----

;; An answer that was asked for before comes from the store: (cached-query "question" #:data text …).
;; The same question again while the first is under way waits for that.
(define (cached-query instruction #:data [data ""] #:model [model #f] #:temperature [temperature #f]
                      #:max-tokens [max-tokens #f] #:json [json #f] #:ttl [ttl #f])
  (if (and ttl (not (and (real? ttl) (>= ttl 0))))
      (%fail 'exn:fail:contract (string-append "cached-query: #:ttl must be a number of seconds, got " (%bounded-text ttl))))
  (%check-call "cached-query" model temperature max-tokens json #f)
  (let* ((asked (list (%check-text "cached-query" "the question" instruction #f)
                      (%check-text "cached-query" "#:data" data #t) (%model-name model) temperature max-tokens json))
         (key (string-append "cached-query:" (content-key asked)))
         (running (%hash-ref %asked-now key #f)))
    (if (and running (%pending? running))
        (%await-in-sight running)
        (let ((handle
               (%spawn
                (lambda ()
                  (let ((kept (restore key)))
                    (if (and (pair? kept) (or (not ttl) (< (- (current-seconds) (car kept)) ttl)))
                        (cdr kept)
                        (let ((text (syntax-e (llm-query #:instruction instruction #:data data #:model model
                                                         #:temperature temperature #:max-tokens max-tokens #:json json))))
                          (checkpoint key (cons (current-seconds) text))
                          text))))
                "cached-query")))
          (hash-set! %asked-now key handle)
          (%await-in-sight handle)))))
(define %asked-now (make-hash))

;; The models' most frequent answer to one question.
(define (ensemble-vote models question #:data [data ""] #:method [method 'plurality])
  (%check-items 'ensemble-vote models 0)
  (%check-vote-method "ensemble-vote" method)
  (vote (map (lambda (model)
               (lambda () (llm-query-async #:instruction question #:data data #:model model)))
             models)
        #:method method))
