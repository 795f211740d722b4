;; racket/list and racket/base's list procedures, as far as they call procedures or have options.

(define empty '())
(define null '())

;; ---- folds ----
(define foldl
  (case-lambda
    ((f init items)
     (let loop ((rest items) (acc init))
       (if (pair? rest)
           (loop (cdr rest) (f (car rest) acc))
           (if (null? rest) acc (raise-argument-error 'foldl "list?" 2 f init items)))))
    ((f init a b)
     (%check-equal-lengths 'foldl a b)
     (let loop ((a a) (b b) (acc init))
       (if (pair? a) (loop (cdr a) (cdr b) (f (car a) (car b) acc)) acc)))
    ((f init . lists)
     (let loop ((lists lists) (acc init))
       (let ((heads (%heads lists)))
         (if heads (loop (%tails lists) (apply f (append heads (list acc)))) acc))))))

(define foldr
  (case-lambda
    ((f init items)
     (if (not (list? items)) (raise-argument-error 'foldr "list?" 2 f init items))
     (let loop ((rest (reverse items)) (acc init))
       (if (pair? rest) (loop (cdr rest) (f (car rest) acc)) acc)))
    ((f init . lists)
     (apply foldl f init (map reverse lists)))))

(define fold-left
  (case-lambda
    ((f init items)
     (let loop ((rest items) (acc init))
       (if (pair? rest) (loop (cdr rest) (f acc (car rest))) acc)))
    ((f init . lists)
     (let loop ((lists lists) (acc init))
       (let ((heads (%heads lists)))
         (if heads (loop (%tails lists) (apply f acc heads)) acc))))))

(define (%check-equal-lengths who a b)
  (if (not (= (length a) (length b)))
      (raise (make-exn:fail:contract
              (string-append (symbol->string who) ": given list does not have the same size as the first list: " (%shown b 120)) #f))))

(define andmap
  (case-lambda
    ((f items)
     (let loop ((rest items) (last #t))
       (cond ((pair? rest) (if (null? (cdr rest)) (f (car rest)) (and (f (car rest)) (loop (cdr rest) #t))))
             (else (%check-list-end 'andmap rest items 1) last))))
    ((f . lists) (apply every f lists))))

(define ormap
  (case-lambda
    ((f items)
     (let loop ((rest items))
       (cond ((pair? rest) (if (null? (cdr rest)) (f (car rest)) (or (f (car rest)) (loop (cdr rest)))))
             (else (%check-list-end 'ormap rest items 1) #f))))
    ((f . lists) (apply any f lists))))

;; ---- finding ----
(define (memf good? items)
  (let loop ((rest items))
    (cond ((not (pair? rest)) #f) ((good? (car rest)) rest) (else (loop (cdr rest))))))
(define (findf good? items)
  (let loop ((rest items))
    (cond ((not (pair? rest)) #f) ((good? (car rest)) (car rest)) (else (loop (cdr rest))))))
(define (assf good? alist)
  (let loop ((rest alist))
    (cond ((not (pair? rest)) #f) ((good? (caar rest)) (car rest)) (else (loop (cdr rest))))))

(define (index-of items x [same? equal?])
  (if (not (list? items)) (raise-argument-error 'index-of "list?" 0 items x))
  (if (eq? same? equal?)
      (%list-index-equal x items)
      (index-where items (lambda (y) (same? x y)))))
(define (index-where items good?)
  (let loop ((rest items) (i 0))
    (cond ((not (pair? rest)) #f) ((good? (car rest)) i) (else (loop (cdr rest) (+ i 1))))))
(define (indexes-of items x [same? equal?])
  (indexes-where items (lambda (y) (same? x y))))
(define (indexes-where items good?)
  (let loop ((rest items) (i 0) (found '()))
    (cond ((not (pair? rest)) (reverse found))
          ((good? (car rest)) (loop (cdr rest) (+ i 1) (cons i found)))
          (else (loop (cdr rest) (+ i 1) found)))))

;; ---- removing ----
(define (filter-not drop? items)
  (let loop ((rest items) (kept '()))
    (cond ((pair? rest) (loop (cdr rest) (if (drop? (car rest)) kept (cons (car rest) kept))))
          (else (%check-list-end 'filter-not rest items 1) (reverse kept)))))

(define (remove x items [same? #f])
  (cond ((procedure? items)
         (raise (%with-hint
                 (make-exn:fail:contract
                  (string-append "remove: contract violation\n  expected: list?\n  given: " (%shown items 60)) #f)
                 "remove takes a value out of a list; to drop by a predicate write (filter-not predicate list).")))
        ((or (not same?) (eq? same? equal?)) (%remove-equal x items))
        (else
         (let loop ((rest items) (before '()))
           (cond ((not (pair? rest)) items)
                 ((same? x (car rest)) (append-reverse before (cdr rest)))
                 (else (loop (cdr rest) (cons (car rest) before))))))))
(define (remf good? items)
  (let loop ((rest items) (before '()))
    (cond ((not (pair? rest)) items)
          ((good? (car rest)) (append-reverse before (cdr rest)))
          (else (loop (cdr rest) (cons (car rest) before))))))
(define (remf* good? items) (filter-not good? items))
(define (remove* xs items [same? equal?])
  (filter-not (lambda (y) (any (lambda (x) (same? x y)) xs)) items))
(define (remq* xs items) (filter-not (lambda (y) (memq y xs)) items))
(define (remv* xs items) (filter-not (lambda (y) (memv y xs)) items))

(define (%same-kind same?)
  (cond ((eq? same? equal?) 0) ((or (eq? same? eqv?) (eq? same? =)) 1) ((eq? same? eq?) 2) (else #f)))

(define (remove-duplicates items [same? equal?] #:key [key #f])
  (let ((kind (%same-kind same?)))
    (cond ((and kind (not key)) (%remove-duplicates items kind))
          (kind
           (let ((seen (%make-hash kind #f)))
             (filter (lambda (x)
                       (let ((k (key x)))
                         (and (not (hash-has-key? seen k)) (begin (hash-set! seen k #t) #t))))
                     items)))
          (else
           (let ((key (or key values)))
             (let loop ((rest items) (keys '()) (kept '()))
               (if (null? rest)
                   (reverse kept)
                   (let ((k (key (car rest))))
                     (if (any (lambda (other) (same? other k)) keys)
                         (loop (cdr rest) keys kept)
                         (loop (cdr rest) (cons k keys) (cons (car rest) kept)))))))))))

(define (check-duplicates items [same? equal?] #:key [key values] #:default [default #f])
  (let loop ((rest items) (keys '()))
    (if (null? rest)
        (if (procedure? default) (default) default)
        (let ((k (key (car rest))))
          (if (any (lambda (other) (same? other k)) keys)
              (car rest)
              (loop (cdr rest) (cons k keys)))))))

;; ---- prefixes ----
(define (takef items good?)
  (let loop ((rest items) (taken '()))
    (if (and (pair? rest) (good? (car rest)))
        (loop (cdr rest) (cons (car rest) taken))
        (reverse taken))))
(define (dropf items good?)
  (let loop ((rest items))
    (if (and (pair? rest) (good? (car rest))) (loop (cdr rest)) rest)))
(define (splitf-at items good?) (values (takef items good?) (dropf items good?)))
(define (takef-right items good?) (reverse (takef (reverse items) good?)))
(define (dropf-right items good?) (reverse (dropf (reverse items) good?)))
(define (splitf-at-right items good?) (values (dropf-right items good?) (takef-right items good?)))
(define (split-at-right items n) (values (drop-right items n) (take-right items n)))
(define (list-prefix? prefix items [same? equal?])
  (or (null? prefix)
      (and (pair? items) (same? (car prefix) (car items)) (list-prefix? (cdr prefix) (cdr items) same?))))
(define (take-common-prefix a b [same? equal?])
  (let loop ((a a) (b b) (taken '()))
    (if (and (pair? a) (pair? b) (same? (car a) (car b)))
        (loop (cdr a) (cdr b) (cons (car a) taken))
        (reverse taken))))
(define (drop-common-prefix a b [same? equal?])
  (let ((n (length (take-common-prefix a b same?)))) (values (drop a n) (drop b n))))
(define (split-common-prefix a b [same? equal?])
  (let ((n (length (take-common-prefix a b same?)))) (values (take a n) (drop a n) (drop b n))))

;; ---- making and changing ----
(define (build-list n f)
  (%check-natural 'build-list n)
  (let loop ((i 0) (items '()))
    (if (< i n) (loop (+ i 1) (cons (f i) items)) (reverse items))))
(define (list-update items index f)
  (let loop ((rest items) (i index) (before '()))
    (cond ((not (pair? rest)) (%list-index-error 'list-update index items))
          ((= i 0) (append-reverse before (cons (f (car rest)) (cdr rest))))
          (else (loop (cdr rest) (- i 1) (cons (car rest) before))))))
(define (list-set items index value)
  (let loop ((rest items) (i index) (before '()))
    (cond ((not (pair? rest)) (%list-index-error 'list-set index items))
          ((= i 0) (append-reverse before (cons value (cdr rest))))
          (else (loop (cdr rest) (- i 1) (cons (car rest) before))))))
(define (%list-index-error who index items)
  (raise (make-exn:fail:contract
          (string-append (symbol->string who) ": index too large for list\n  index: " (%shown index 40)
                         "\n  in: " (%shown items 120)) #f)))
(define (inclusive-range start end [step 1])
  (let loop ((i start) (items '()))
    (if (if (>= step 0) (<= i end) (>= i end))
        (loop (+ i step) (cons i items))
        (reverse items))))
(define (append-lists lists) (apply append lists))

(define add-between
  (let ((plain add-between))
    (lambda (items separator #:before-first [first '()] #:before-last [before-last %none]
                   #:after-last [last '()] #:splice? [splice? #f])
      (if (and (not splice?) (eq? before-last %none))
          (plain items separator)
          (let* ((as-list (lambda (x) (if splice? x (list x))))
                 (n (length items))
                 (middle
                  (let loop ((rest items) (i 0))
                    (cond ((null? rest) '())
                          ((= i 0) (cons (car rest) (loop (cdr rest) 1)))
                          (else
                           (append (as-list (if (and (= i (- n 1)) (not (eq? before-last %none))) before-last separator))
                                   (list (car rest))
                                   (loop (cdr rest) (+ i 1))))))))
            (append first middle last))))))

;; ---- grouping and selecting ----
(define (group-by key items [same? equal?])
  (if (not (list? items)) (raise-argument-error 'group-by "list?" 1 key items))
  (let ((kind (%same-kind same?)))
    (if kind
        (let ((groups (%make-hash kind #f)))
          (for-each (lambda (x)
                      (let ((k (key x))) (hash-set! groups k (cons x (%hash-ref groups k '())))))
                    items)
          (map reverse (hash-values groups)))
        (let loop ((rest items) (groups '()))
          (if (null? rest)
              (map (lambda (g) (reverse (cdr g))) (reverse groups))
              (let* ((k (key (car rest))) (group (find (lambda (g) (same? (car g) k)) groups)))
                (if group
                    (begin (set-cdr! group (cons (car rest) (cdr group))) (loop (cdr rest) groups))
                    (loop (cdr rest) (cons (list k (car rest)) groups)))))))))

(define (%arg-best who f items better?)
  (if (not (and (pair? items) (list? items)))
      (raise-argument-error who "(and/c pair? list?)" items))
  (let loop ((rest (cdr items)) (best (car items)) (value (f (car items))))
    (if (null? rest)
        best
        (let ((v (f (car rest))))
          (if (better? v value) (loop (cdr rest) (car rest) v) (loop (cdr rest) best value))))))
(define (argmin f items) (%arg-best 'argmin f items <))
(define (argmax f items) (%arg-best 'argmax f items >))

(define (unzip lists) (apply map list lists))

;; (chunk items n): sublists of n items, the last one may be shorter; strings too
(define (chunk items n)
  (if (and (number? items) (not (number? n)))
      (chunk n items)
      (if (string? items)
          (let loop ((i 0) (parts '()))
            (if (>= i (string-length items))
                (reverse parts)
                (loop (+ i n) (cons (substring items i (min (string-length items) (+ i n))) parts))))
          (let loop ((rest items) (parts '()))
            (cond ((null? rest) (reverse parts))
                  ((<= (length rest) n) (reverse (cons rest parts)))
                  (else (loop (drop rest n) (cons (take rest n) parts))))))))

;; ---- combinatorics, in Racket's order ----
;; The permutations of n items: for each place of the last item, from the end, those of the others
;; come in an order in which the first item moves fastest.
(define (permutations items)
  (if (not (list? items)) (raise-argument-error 'permutations "list?" items))
  (if (null? items)
      '(())
      (let loop ((reversed (reverse items)) (n (length items)))
        (if (= n 0)
            '(())
            ;; each choice of the last item, nearest to the end first, after the permutations of the others
            (append-map
             (lambda (i)
               (let ((last (list-ref reversed i))
                     (others (append (take reversed i) (drop reversed (+ i 1)))))
                 (map (lambda (p) (append p (list last))) (loop others (- n 1)))))
             (iota n))))))

(define combinations
  (case-lambda
    ((items)
     ;; all subsets, counted in binary: the first item is the lowest bit
     (let loop ((rest items) (subsets (list '())))
       (if (null? rest)
           subsets
           (loop (cdr rest)
                 (append subsets (map (lambda (s) (append s (list (car rest)))) subsets))))))
    ((items size)
     (if (not size)
         (combinations items)
         (let loop ((items items) (size size) (n (length items)))
           (cond ((= size 0) '(()))
                 ((> size n) '())
                 (else
                  (append (map (lambda (c) (cons (car items) c)) (loop (cdr items) (- size 1) (- n 1)))
                          (loop (cdr items) size (- n 1))))))))))

(define (cartesian-product . lists)
  (let ((wrong (index-where lists (lambda (l) (not (list? l))))))
    (if wrong (apply raise-argument-error 'cartesian-product "list?" wrong lists)))
  (let loop ((lists lists))
    (if (null? lists)
        '(())
        (let ((rest (loop (cdr lists))))
          (append-map (lambda (x) (map (lambda (tail) (cons x tail)) rest)) (car lists))))))

(define (shuffle items)
  (let* ((v (list->vector items)))
    (let loop ((i (- (vector-length v) 1)))
      (if (> i 0)
          (begin (vector-swap! v i (random (+ i 1))) (loop (- i 1)))
          (vector->list v)))))

;; ---- sorting ----
;; (sort items less?), also (sort less? items); a vector gives a vector
(define sort
  (case-lambda
    ((items less?) (%sort-items items less? #f))
    ((items less? . options)
     (let loop ((options options) (key #f))
       (cond ((null? options) (%sort-items items less? key))
             ((eq? (car options) '#:key) (loop (cddr options) (cadr options)))
             ((eq? (car options) '#:cache-keys?) (loop (cddr options) key))
             ((procedure? (car options)) (loop (cdr options) (car options)))
             (else (raise-argument-error 'sort "#:key or #:cache-keys?" (car options))))))))

(define (%sort-items items less? key)
  (cond ((procedure? items) (%sort-items less? items key))
        ((not (procedure? less?)) (raise-argument-error 'sort "(any/c any/c . -> . any/c)" 1 items less?))
        ((vector? items) (list->vector (%sort-items (vector->list items) less? key)))
        ((not (list? items))
         (raise-argument-error 'sort "list?" 0 items less?))
        (key
         (let ((keys (map key items)))
           (or (%sort-list items less? keys)
               (map cdr (%sort-entries less? (map cons keys items))))))
        (else (or (%sort-list items less? #f) (%sort less? items)))))
(define (sort! items less? . options) (apply sort items less? options))

;; ---- map and its kin over several lists, which have one length here ----
(define (%check-lengths who f lists)
  (let ((n (%list-length who (car lists) 1)))
    (let loop ((rest (cdr lists)) (i 2))
      (if (pair? rest)
          (let ((m (%list-length who (car rest) i)))
            (if (not (= m n))
                (raise (%with-hint
                        (make-exn:fail:contract
                         (string-append (symbol->string who) ": all lists must have same size\n  first list length: " (number->string n)
                                        "\n  other list length: " (number->string m) "\n  procedure: " (%shown f 80))
                         #f)
                        "To stop with the shortest, write (for/list ([a as] [b bs]) ...).")))
            (loop (cdr rest) (+ i 1)))))))
(define (%list-length who v i) (if (list? v) (length v) (%err-type who i "list" v)))
;; Of one list they are what stops with the shortest, without a call in between.
(define-values (map for-each andmap ormap append-map)
  (let ((strict
         (lambda (who walk)
           (let ((walk-two (%case-for walk 3)))
             (%procedure-named
              who
              (%make-case
               (%case-for walk 2)
               (lambda (f list1 list2) (%check-lengths who f (%list list1 list2)) (walk-two f list1 list2))
               (lambda (f list . lists) (%check-lengths who f (cons list lists)) (apply walk f list lists))))))))
    (values (strict 'map map) (strict 'for-each for-each) (strict 'andmap andmap) (strict 'ormap ormap) (strict 'append-map append-map))))
