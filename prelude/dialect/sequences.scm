;; Sequences: what `for` walks over where the sequence is not written out in the clause.
;;
;; A walk has a state. For a list it is the list itself, so that the loops of for.scm go on with
;; car and cdr; for what has indexes it is the index; for the rest it is whatever the sequence
;; object's own procedures make of it. A state that is a pair is always a list on its way: where an
;; object's own state is a list (a position of make-do-sequence, an element), it is held in a box of ours.

;; start: the first state, or a %fresh thunk that makes one for each walk; more?, ref and next take a state. ref
;; may give several values.
(define-record-type %iteration
  (%make-iteration first more? ref next)
  %iteration?
  (first %iteration-first)
  (more? %iteration-more)
  (ref %iteration-ref)
  (next %iteration-next)
  (size %iteration-size %iteration-set-size!)) ; how many steps, where that is known; else #f
(define (%sized n iteration)
  (%iteration-set-size! iteration n)
  iteration)
(%set-rtd-printer! (%record-rtd (%make-iteration #f #f #f #f))
                   (lambda (s) (if (%fresh? (%iteration-first s)) "#<sequence>" "#<stream>")))
(define-record-type %fresh (%make-fresh thunk) %fresh? (thunk %fresh-thunk))
(define (%iteration-start s)
  (let ((first (%iteration-first s)))
    (if (%fresh? first) ((%fresh-thunk first)) first)))

(define-record-type %held (%make-held state) %held? (state %held-state))
(define (%hold state) (if (or (pair? state) (null? state)) (%make-held state) state))
(define (%release state) (if (%held? state) (%held-state state) state))

;; A walk over what a procedure gives, one call for each step, and none before the step is asked for: a loop
;; that ends for another reason takes nothing that somebody else may read. A state is a cell for the item.
;; (pull) gives an item, which may be a vector of several values where `several?`; (stop? item) is the end's.
(define (%pulled pull stop? [several? #f])
  (define (more? cell)
    (if (eq? (vector-ref cell 0) %none) (vector-set! cell 0 (pull)))
    (not (stop? (vector-ref cell 0))))
  (%make-iteration (%make-fresh (lambda () (vector %none)))
                   more?
                   (if several?
                       (lambda (cell) (vector->values (vector-ref cell 0)))
                       (lambda (cell) (vector-ref cell 0)))
                   (lambda (cell) (vector %none))))

;; A walk over a list of lists of values: it gives several values at each step.
(define (%rows lists-of-values)
  (let ((rows (list->vector lists-of-values)))
    (%sized (vector-length rows)
            (%make-iteration 0
                             (lambda (index) (< index (vector-length rows)))
                             (lambda (index) (apply values (vector-ref rows index)))
                             (lambda (index) (+ index 1))))))

;; `value` as something to walk over, or an error that names the variable it was for.
(define (%sequence value name)
  (cond ((or (pair? value) (null? value) (vector? value) (string? value) (bytes? value) (%iteration? value)) value)
        ((and (integer? value) (exact? value) (>= value 0)) value)
        ((hash? value)
         (%rows (map (lambda (entry) (list (car entry) (cdr entry))) (hash->list value))))
        ((set? value) (set->list value))
        ((%stream? value) value)
        ((input-port? value)
         (if (textual-port? value)
             (string->bytes/utf-8 (%port->string value))
             (%port-iteration (lambda () (read-u8 value)))))
        ((and (%record? value) (%struct-property value 'prop:sequence))
         => (lambda (make) (%sequence (make value) name)))
        ((%own-stream value) (%make-iteration value (lambda (s) (not (stream-empty? s))) stream-first stream-rest))
        ((syntax? value)
         (raise (%with-hint
                 (make-exn:fail:contract
                  (string-append "for: expected a sequence for " (symbol->string name) ", got the result of an LLM call: "
                                 (%shown-written value 60))
                  #f)
                 "Unwrap the text with (syntax-e …) first.")))
        (else
         (let ((condition (make-exn:fail:contract
                           (string-append "for: expected a sequence for " (symbol->string name) ", got something else: "
                                          (%shown value 80))
                           #f))
               (advice (%value-advice value 'map)))
           (raise (if advice (%with-hint condition advice) condition))))))

(define (%port-iteration read-next) (%pulled read-next eof-object?))

(define (%sequence-start s)
  (cond ((or (pair? s) (null? s) (%stream? s)) s)
        ((%iteration? s) (%hold (%iteration-start s)))
        (else 0)))

;; Where the index ends, or #f: it is no index.
(define (%sequence-end s)
  (cond ((number? s) s)
        ((vector? s) (vector-length s))
        ((string? s) (string-length s))
        ((bytes? s) (bytes-length s))
        (else #f)))

(define (%sequence-more? s state)
  (cond ((null? state) #f)
        ((vector? s) (< state (vector-length s)))
        ((string? s) (< state (string-length s)))
        ((number? s) (< state s))
        ((%iteration? s) ((%iteration-more s) (%release state)))
        ((%stream? s) (not (stream-empty? state)))
        ((bytes? s) (< state (bytes-length s)))
        ((pair? s) (raise-argument-error 'for "sequence?" s))
        (else #f)))

(define (%sequence-ref s state)
  (cond ((vector? s) (vector-ref s state))
        ((string? s) (string-ref s state))
        ((number? s) state)
        ((%iteration? s)
         (call-with-values (lambda () ((%iteration-ref s) (%release state)))
           (case-lambda
             ((value) value)
             (several (raise (%with-hint
                              (make-exn:fail:contract:arity
                               (string-append "for: the sequence gives " (number->string (length several))
                                              " values at each step, and one variable stands for them")
                               #f)
                              "Write ([(key value) sequence]) for a hash table, or use in-hash-keys or in-hash-values."))))))
        ((%stream? s) (stream-first state))
        (else (bytes-ref s state))))

(define (%sequence-values s state)
  (if (%iteration? s)
      ((%iteration-ref s) (%release state))
      (if (pair? state) (car state) (%sequence-ref s state))))

(define (%sequence-next s state)
  (cond ((%iteration? s) (%hold ((%iteration-next s) (%release state))))
        ((%stream? s) (stream-rest state))
        (else (+ state 1))))

;; ---- how many steps a walk has: a number, or #f where only walking tells ----
(define (%sequence-size s)
  (cond ((list? s) (length s))
        ((vector? s) (vector-length s))
        ((string? s) (string-length s))
        ((number? s) s)
        ((bytes? s) (bytes-length s))
        ((%iteration? s) (%iteration-size s))
        (else #f)))
(define (%value-size v) ; of what may be anything
  (cond ((hash? v) (hash-count v))
        ((set? v) (set-count v))
        ((and (number? v) (not (exact-nonnegative-integer? v))) #f)
        (else (%sequence-size v))))
(define (%range-size start end step)
  (and (real? start) (real? end) (real? step) (not (zero? step))
       (let ((n (/ (- end start) step)))
         (and (rational? n) (max 0 (exact (ceiling n)))))))
;; of walks in step with each other
(define (%least-size . sizes)
  (and (pair? sizes) (not (memq #f sizes)) (apply min sizes)))

;; ---- the checks of the clauses that are written out ----
(define (%check-real who x) (if (real? x) x (raise-argument-error who "real?" x)))
(define (%check-natural who x)
  (if (and (exact-integer? x) (>= x 0)) x (raise-argument-error who "exact-nonnegative-integer?" x)))
(define (%check-list x) (if (list? x) x (raise-argument-error 'in-list "list?" x)))
(define (%check-vector x) (if (vector? x) x (raise-argument-error 'in-vector "vector?" x)))
(define (%check-string x) (if (string? x) x (raise-argument-error 'in-string "string?" x)))
(define (%check-bytes x) (if (bytes? x) x (raise-argument-error 'in-bytes "bytes?" x)))
(define (%check-hash x) (if (hash? x) x (raise-argument-error 'in-hash "hash?" x)))
(define (%check-slice start stop step length sequence)
  (if (not (and (<= 0 start length) (<= stop length) (not (eqv? step 0))))
      (raise-range-error 'for "sequence" "index " (if (<= 0 start length) stop start) sequence 0 length)))
(define (%inclusive-end end step)
  (if (>= step 0)
      (if (exact? end) (+ (floor end) 1) (%next-after end step))
      (if (exact? end) (- (ceiling end) 1) (%next-after end step))))
;; in-inclusive-range over floats: the bound itself still counts
(define (%next-after end step) (+ end (* 1e-9 step)))
(define (%hash-pair table position) (cons (%hash-key table position) (%hash-value table position)))

;; ---- sequences as values ----
(define (%counting size start more? step)
  (%sized size (%make-iteration start more? (lambda (i) i) (lambda (i) (+ i step)))))

(define (in-range first (second %none) (step 1))
  (let ((start (if (eq? second %none) 0 first)) (end (if (eq? second %none) first second)))
    (%check-real 'in-range start) (%check-real 'in-range end) (%check-real 'in-range step)
    (%counting (%range-size start end step) start (if (>= step 0) (lambda (i) (< i end)) (lambda (i) (> i end))) step)))
(define (in-inclusive-range start end (step 1))
  (in-range start (%inclusive-end end step) step))
(define (in-naturals (start 0))
  (%counting #f (%check-natural 'in-naturals start) (lambda (i) #t) 1))
(define (in-list items) (%check-list items))
(define (in-vector v (start 0) (stop #f) (step 1))
  (%check-vector v)
  (let ((stop (or stop (vector-length v))))
    (for/list ([i (in-range start stop step)]) (vector-ref v i))))
(define (in-string s (start 0) (stop #f) (step 1))
  (%check-string s)
  (let ((stop (or stop (string-length s))))
    (for/list ([i (in-range start stop step)]) (string-ref s i))))
(define (in-bytes b) (%check-bytes b))
;; with try-order?, by the keys
(define (in-hash table [ordered? #f])
  (if ordered?
      (%rows (map (lambda (e) (list (car e) (cdr e))) (in-hash-pairs table #t)))
      (%check-hash table)))
(define (in-hash-keys table [ordered? #f]) (map car (in-hash-pairs table ordered?)))
(define (in-hash-values table [ordered? #f]) (map cdr (in-hash-pairs table ordered?)))
(define (in-hash-pairs table [ordered? #f]) (%hash-entries (%check-hash table) ordered?))
(define-values (in-mutable-hash in-immutable-hash in-weak-hash) (values in-hash in-hash in-hash))
(define-values (in-mutable-hash-keys in-immutable-hash-keys in-weak-hash-keys) (values in-hash-keys in-hash-keys in-hash-keys))
(define-values (in-mutable-hash-values in-immutable-hash-values in-weak-hash-values)
  (values in-hash-values in-hash-values in-hash-values))
(define-values (in-mutable-hash-pairs in-immutable-hash-pairs in-weak-hash-pairs) (values in-hash-pairs in-hash-pairs in-hash-pairs))
(define (in-value x) (list x))
(define (in-set s) (set->list s))
(define (in-stream s) s)
(define (in-lines (port (current-input-port)) (mode 'any)) ; of a string, its own lines
  (let ((port (if (string? port) (open-input-string port) port)))
    (%port-iteration (lambda () (read-line port mode)))))
(define (in-input-port-chars port) (%port-iteration (lambda () (read-char port))))
(define (in-port (read-one read) (port (current-input-port)))
  (%port-iteration (lambda () (read-one port))))
(define (in-producer produce [stop? %none] . args)
  (%pulled (lambda ()
             (call-with-values (lambda () (apply produce args))
               (case-lambda ((item) (vector item)) (items (list->vector items)))))
           (cond ((eq? stop? %none) (lambda (items) #f))
                 ((procedure? stop?) (lambda (items) (apply stop? (vector->list items))))
                 (else (lambda (items) (and (= (vector-length items) 1) (equal? (vector-ref items 0) stop?)))))
           #t))

;; the walk over another sequence, each step's values turned by `f`
(define (%iterate sequence f)
  (let ((s (%sequence sequence 'sequence)))
    (%sized (%sequence-size s)
            (%make-iteration (%sequence-start s)
                             (lambda (p) (or (pair? p) (%sequence-more? s p)))
                             (lambda (p) (call-with-values (lambda () (%sequence-values s p)) f))
                             (lambda (p) (if (pair? p) (cdr p) (%sequence-next s p)))))))
(define (%walk sequence) (%iterate sequence values))

(define (in-indexed sequence)
  (let ((inner (%walk sequence)))
    (%sized (%iteration-size inner)
            (%make-iteration (vector (%iteration-start inner) 0)
                             (lambda (st) ((%iteration-more inner) (vector-ref st 0)))
                             (lambda (st) (values ((%iteration-ref inner) (vector-ref st 0)) (vector-ref st 1)))
                             (lambda (st) (vector ((%iteration-next inner) (vector-ref st 0)) (+ (vector-ref st 1) 1)))))))

(define (in-parallel . sequences)
  (let ((walks (map %walk sequences)))
    (%sized (apply %least-size (map %iteration-size walks))
     (%make-iteration (list->vector (map %iteration-start walks))
                      (lambda (states) (%every2 (lambda (w st) ((%iteration-more w) st)) walks (vector->list states)))
                      (lambda (states)
                        (apply values (map (lambda (w st) ((%iteration-ref w) st)) walks (vector->list states))))
                      (lambda (states)
                        (list->vector (map (lambda (w st) ((%iteration-next w) st)) walks (vector->list states))))))))
(define (%every2 f a b)
  (or (null? a) (and (f (car a) (car b)) (%every2 f (cdr a) (cdr b)))))

;; one sequence after the other; the state: #(walk its-state walks-to-come)
(define (in-sequences . sequences)
  (define (settle state)
    (let ((walk (vector-ref state 0)))
      (cond (((%iteration-more walk) (vector-ref state 1)) state)
            ((null? (vector-ref state 2)) #f)
            (else (settle (begin-with (vector-ref state 2)))))))
  (define (begin-with walks)
    (let ((walk (%walk (car walks)))) (vector walk (%iteration-start walk) (cdr walks))))
  (%make-iteration (and (pair? sequences) (settle (begin-with sequences)))
                   (lambda (state) state)
                   (lambda (state) ((%iteration-ref (vector-ref state 0)) (vector-ref state 1)))
                   (lambda (state)
                     (settle (vector (vector-ref state 0)
                                     ((%iteration-next (vector-ref state 0)) (vector-ref state 1))
                                     (vector-ref state 2))))))

(define (in-cycle . sequences)
  (let* ((walk (apply in-sequences sequences)) (start (%iteration-start walk)))
    (%make-iteration start
                     (lambda (state) state)
                     (%iteration-ref walk)
                     (lambda (state) (or ((%iteration-next walk) state) start)))))

(define (in-values-sequence sequence) (%iterate sequence list))
(define (in-values*-sequence sequence)
  (%iterate sequence (case-lambda ((v) v) (vs vs))))
(define (in-slice size sequence)
  (if (not (and (exact-integer? size) (> size 0))) (raise-argument-error 'in-slice "exact-positive-integer?" size))
  (let ((walk (%walk sequence)))
    (%make-iteration (%make-fresh (lambda () (%slice walk (%iteration-start walk) size)))
                     values
                     car
                     (lambda (slice) (%slice walk (cdr slice) size)))))
;; up to n items from a state on, and the state after them; #f where there are none
(define (%slice walk state n)
  (let loop ((state state) (left n) (items '()))
    (cond ((and (> left 0) ((%iteration-more walk) state))
           (loop ((%iteration-next walk) state) (- left 1)
                 (cons ((%iteration-ref walk) state) items)))
          ((null? items) #f)
          (else (cons (reverse items) state)))))

(define (in-permutations items) (permutations items))
(define (in-combinations items (size #f)) (combinations items size))
(define (in-cartesian-product . lists) (apply cartesian-product lists))

;; ---- sequences as such ----
(define (sequence? v)
  (or (list? v) (vector? v) (string? v) (bytes? v) (hash? v) (set? v) (%stream? v) (%iteration? v) (input-port? v)
      (and (exact-integer? v) (>= v 0))
      (and (%record? v) (or (%struct-property v 'prop:sequence) (%own-stream v)) #t)))
(define (sequence->list sequence) (for/list ([x sequence]) x))
(define (sequence-length sequence) (for/sum ([x (%iterate sequence (lambda all all))]) 1))
(define (sequence-ref sequence index)
  (let loop ((w (%walk sequence)) (state #f) (i -1))
    (let ((state (if (< i 0) (%iteration-start w) ((%iteration-next w) state))))
      (cond ((not ((%iteration-more w) state)) (raise-arguments-error 'sequence-ref "sequence ended before index" "index" index))
            ((= (+ i 1) index) ((%iteration-ref w) state))
            (else (loop w state (+ i 1)))))))
(define (sequence-map f sequence) (%iterate sequence f))
(define (sequence-for-each f sequence)
  (let ((w (%walk sequence)))
    (let loop ((state (%iteration-start w)))
      (if ((%iteration-more w) state)
          (begin (call-with-values (lambda () ((%iteration-ref w) state)) f)
                 (loop ((%iteration-next w) state)))))))
(define (sequence-fold f init sequence)
  (let ((w (%walk sequence)))
    (let loop ((state (%iteration-start w)) (acc init))
      (if ((%iteration-more w) state)
          (loop ((%iteration-next w) state)
                (call-with-values (lambda () ((%iteration-ref w) state)) (lambda items (apply f acc items))))
          acc))))
(define (sequence-filter keep? sequence)
  (let* ((w (%walk sequence)))
    (define (settle state)
      (cond ((not ((%iteration-more w) state)) #f)
            ((call-with-values (lambda () ((%iteration-ref w) state)) keep?) (box state))
            (else (settle ((%iteration-next w) state)))))
    (%make-iteration (settle (%iteration-start w))
                     (lambda (state) state)
                     (lambda (state) ((%iteration-ref w) (unbox state)))
                     (lambda (state) (settle ((%iteration-next w) (unbox state)))))))
(define (sequence-append . sequences) (apply in-sequences sequences))
(define (sequence-andmap f sequence) (for/and ([x sequence]) (f x)))
(define (sequence-ormap f sequence) (for/or ([x sequence]) (f x)))
(define (sequence-count f sequence) (for/sum ([x sequence]) (if (f x) 1 0)))
(define (sequence-tail sequence n)
  (let* ((w (%walk sequence)))
    (let loop ((state (%iteration-start w)) (n n))
      (if (= n 0)
          (%make-iteration state (%iteration-more w) (%iteration-ref w) (%iteration-next w))
          (loop ((%iteration-next w) state) (- n 1))))))
(define (sequence-add-between sequence v)
  (let ((walk (%walk sequence)))
    ;; a state is the walk's, and whether v is due before its item
    (%make-iteration (%make-fresh (lambda () (cons (%iteration-start walk) #f)))
                     (lambda (st) ((%iteration-more walk) (car st)))
                     (lambda (st) (if (cdr st) v ((%iteration-ref walk) (car st))))
                     (lambda (st) (if (cdr st) (cons (car st) #f) (cons ((%iteration-next walk) (car st)) #t))))))
(define empty-sequence '())

;; up to the first item that the predicate accepts: without it, with it
(define (stop-before sequence stop?)
  (let ((walk (%walk sequence)))
    (define (item state) (call-with-values (lambda () ((%iteration-ref walk) state)) stop?))
    (%make-iteration (%make-fresh (lambda () (%iteration-start walk)))
                     (lambda (state) (and ((%iteration-more walk) state) (not (item state))))
                     (%iteration-ref walk)
                     (%iteration-next walk))))
(define (stop-after sequence stop?)
  (let ((walk (%walk sequence)))
    (define (item state) (call-with-values (lambda () ((%iteration-ref walk) state)) stop?))
    (define none (list 'none))
    (%make-iteration (%make-fresh (lambda () (%iteration-start walk)))
                     (lambda (state) (and (not (eq? state none)) ((%iteration-more walk) state)))
                     (%iteration-ref walk)
                     (lambda (state) (if (item state) none ((%iteration-next walk) state))))))

;; Two procedures: is there a next item, and which. The item is taken when one of them asks.
(define (sequence-generate sequence)
  (let* ((walk (%walk sequence)) (state %none))
    (define (more?)
      (if (eq? state %none) (set! state (%iteration-start walk)))
      ((%iteration-more walk) state))
    (define (next)
      (if (not (more?))
          (raise (make-exn:fail:contract "sequence-generate: sequence has no more values" #f)))
      (let ((at state))
        (call-with-values
         (lambda () ((%iteration-ref walk) at))
         (lambda items
           (set! state ((%iteration-next walk) at))
           (apply values items)))))
    (values more? next)))

;; A sequence of one's own: the thunk gives position->element, next-position, the first position, and
;; three tests, each of which may be #f: of a position, of an element, of both.
(define (make-do-sequence thunk)
  (define-values (element next first go-on? element? go-on-after?)
    (call-with-values thunk
      (case-lambda
        ((element next first position? element? both?) (values element next first position? element? both?))
        ((element early next first position? element? both?)
         (values element (lambda (p) (next (if early (early p) p))) first position? element? both?)))))
  ;; a state: the position, and its element's values once they were asked for
  (define (state position) (vector position %none))
  (define (elements st)
    (if (eq? (vector-ref st 1) %none)
        (vector-set! st 1 (call-with-values (lambda () (element (vector-ref st 0))) list)))
    (vector-ref st 1))
  (%make-iteration (%make-fresh (lambda () (state first)))
                   (lambda (st)
                     (and st
                          (or (not go-on?) (go-on? (vector-ref st 0)))
                          (or (not element?) (apply element? (elements st)))))
                   (lambda (st) (apply values (elements st)))
                   (lambda (st)
                     (and (or (not go-on-after?) (apply go-on-after? (vector-ref st 0) (elements st)))
                          (state (next (vector-ref st 0)))))))

;; ---- what the loops of for.scm finish with ----
(define (%vector-of-reversed items) (list->vector (reverse! items)))
(define (%reversed-pieces->string pieces)
  (apply string-append
         (map (lambda (piece) (if (char? piece) (string piece) piece)) (reverse! pieces))))
