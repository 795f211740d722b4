;; lists.scm — the procedures on lists that call procedures: R7RS's and SRFI 1's.
;;
;; They accumulate in reverse and reverse a copy at the end, so that a continuation captured in
;; the user's procedure may be entered again without disturbing earlier results. Lists of one
;; argument have loops of their own; several lists go through %heads and %tails and stop with the
;; shortest. A parameter is often called `list`; the constructor is %list there.

(define %list list)

;; The cars (cdrs) of all lists, or #f when one of them has ended.
(define (%heads lists)
  (let loop ((ls lists) (acc '()))
    (cond ((null? ls) (reverse acc))
          ((pair? (car ls)) (loop (cdr ls) (cons (caar ls) acc)))
          (else #f))))

(define (%tails lists)
  (let loop ((ls lists) (acc '()))
    (if (null? ls) (reverse acc) (loop (cdr ls) (cons (cdar ls) acc)))))

(define (%check-list-end who rest list argument)
  (unless (null? rest) (%err-type who argument "list" list)))

(define map
  (case-lambda
    ((f list)
     (let loop ((rest list) (acc '()))
       (if (pair? rest)
           (loop (cdr rest) (cons (f (car rest)) acc))
           (begin (%check-list-end 'map rest list 1)
                  (reverse acc)))))
    ((f list1 list2)
     (let loop ((a list1) (b list2) (acc '()))
       (if (and (pair? a) (pair? b))
           (loop (cdr a) (cdr b) (cons (f (car a) (car b)) acc))
           (begin (unless (pair? a) (%check-list-end 'map a list1 1))
                  (unless (pair? b) (%check-list-end 'map b list2 2))
                  (reverse acc)))))
    ((f . lists)
     (let loop ((ls lists) (acc '()))
       (let ((heads (%heads ls)))
         (if heads
             (loop (%tails ls) (cons (apply f heads) acc))
             (reverse acc)))))))

(define map-in-order map)

(define for-each
  (case-lambda
    ((f list)
     (let loop ((rest list))
       (if (pair? rest)
           (begin (f (car rest)) (loop (cdr rest)))
           (%check-list-end 'for-each rest list 1))))
    ((f list1 list2)
     (let loop ((a list1) (b list2))
       (if (and (pair? a) (pair? b))
           (begin (f (car a) (car b)) (loop (cdr a) (cdr b)))
           (begin (unless (pair? a) (%check-list-end 'for-each a list1 1))
                  (unless (pair? b) (%check-list-end 'for-each b list2 2))))))
    ((f . lists)
     (let loop ((ls lists))
       (let ((heads (%heads ls)))
         (when heads
           (apply f heads)
           (loop (%tails ls))))))))

;; Under these names for what stops with the shortest list: R7RS's and SRFI 1's. The dialect's own are stricter.
(define %map-shortest map)
(define %for-each-shortest for-each)

(define append-map
  (case-lambda
    ((f list) (apply append (map f list)))
    ((f . lists) (apply append (apply %map-shortest f lists)))))
(define %append-map-shortest append-map)

(define filter-map
  (case-lambda
    ((f list)
     (let loop ((rest list) (acc '()))
       (if (pair? rest)
           (let ((value (f (car rest))))
             (loop (cdr rest) (if value (cons value acc) acc)))
           (begin (%check-list-end 'filter-map rest list 1)
                  (reverse acc)))))
    ((f . lists)
     (let loop ((ls lists) (acc '()))
       (let ((heads (%heads ls)))
         (if heads
             (let ((value (apply f heads)))
               (loop (%tails ls) (if value (cons value acc) acc)))
             (reverse acc)))))))

;; ---- filtering ----

(define (filter keep? list)
  (let loop ((rest list) (acc '()))
    (if (pair? rest)
        (loop (cdr rest) (if (keep? (car rest)) (cons (car rest) acc) acc))
        (begin (%check-list-end 'filter rest list 1)
               (reverse acc)))))

(define (srfi-1:remove drop? list)
  (let loop ((rest list) (acc '()))
    (if (pair? rest)
        (loop (cdr rest) (if (drop? (car rest)) acc (cons (car rest) acc)))
        (begin (%check-list-end 'remove rest list 1)
               (reverse acc)))))

(define (partition in? list)
  (let loop ((rest list) (in '()) (out '()))
    (if (pair? rest)
        (if (in? (car rest))
            (loop (cdr rest) (cons (car rest) in) out)
            (loop (cdr rest) in (cons (car rest) out)))
        (begin (%check-list-end 'partition rest list 1)
               (values (reverse in) (reverse out))))))

(define delete
  (case-lambda
    ((x list) (%remove-all-equal x list))
    ((x list same?) (srfi-1:remove (lambda (y) (same? x y)) list))))

(define delete-duplicates
  (case-lambda
    ((list) (%remove-duplicates list 0))
    ((list same?)
     (cond ((eq? same? equal?) (%remove-duplicates list 0))
           ((eq? same? eqv?) (%remove-duplicates list 1))
           ((eq? same? eq?) (%remove-duplicates list 2))
           (else
            (let loop ((rest list) (kept '()))
              (cond ((null? rest) (reverse kept))
                    ((any (lambda (k) (same? k (car rest))) kept) (loop (cdr rest) kept))
                    (else (loop (cdr rest) (cons (car rest) kept))))))))))

;; ---- searching ----

(define (%member-by x list same?)
  (let loop ((rest list))
    (cond ((not (pair? rest)) (%check-list-end 'member rest list 1) #f)
          ((same? x (car rest)) rest)
          (else (loop (cdr rest))))))

(define (%assoc-by x alist same?)
  (let loop ((rest alist))
    (cond ((not (pair? rest)) (%check-list-end 'assoc rest alist 1) #f)
          ((same? x (caar rest)) (car rest))
          (else (loop (cdr rest))))))

(define (find good? list)
  (let loop ((rest list))
    (cond ((not (pair? rest)) (%check-list-end 'find rest list 1) #f)
          ((good? (car rest)) (car rest))
          (else (loop (cdr rest))))))

(define (find-tail good? list)
  (let loop ((rest list))
    (cond ((not (pair? rest)) (%check-list-end 'find-tail rest list 1) #f)
          ((good? (car rest)) rest)
          (else (loop (cdr rest))))))

;; As find and find-tail, but what is no list has nothing to find: SRFI 1's libraries rely on it.
(define (%lenient-find good? list)
  (let ((tail (%lenient-find-tail good? list))) (and tail (car tail))))
(define (%lenient-find-tail good? list)
  (let loop ((rest list))
    (and (pair? rest) (if (good? (car rest)) rest (loop (cdr rest))))))

;; The last call of the predicate is a tail call, as SRFI 1 asks.
(define any
  (case-lambda
    ((good? list)
     (let loop ((rest list))
       (cond ((not (pair? rest)) (%check-list-end 'any rest list 1) #f)
             ((null? (cdr rest)) (good? (car rest)))
             (else (or (good? (car rest)) (loop (cdr rest)))))))
    ((good? . lists)
     (let loop ((ls lists))
       (let ((heads (%heads ls)))
         (and heads
              (or (apply good? heads) (loop (%tails ls)))))))))

(define every
  (case-lambda
    ((good? list)
     (let loop ((rest list))
       (cond ((not (pair? rest)) (%check-list-end 'every rest list 1) #t)
             ((null? (cdr rest)) (good? (car rest)))
             (else (and (good? (car rest)) (loop (cdr rest)))))))
    ((good? . lists)
     (let loop ((ls lists) (last #t))
       (let ((heads (%heads ls)))
         (if heads
             (let ((value (apply good? heads)))
               (and value (loop (%tails ls) value)))
             last))))))

(define list-index
  (case-lambda
    ((good? list)
     (let loop ((rest list) (i 0))
       (cond ((not (pair? rest)) (%check-list-end 'list-index rest list 1) #f)
             ((good? (car rest)) i)
             (else (loop (cdr rest) (+ i 1))))))
    ((good? . lists)
     (let loop ((ls lists) (i 0))
       (let ((heads (%heads ls)))
         (and heads
              (if (apply good? heads) i (loop (%tails ls) (+ i 1)))))))))

(define count
  (case-lambda
    ((good? list)
     (let loop ((rest list) (n 0))
       (if (pair? rest)
           (loop (cdr rest) (if (good? (car rest)) (+ n 1) n))
           (begin (%check-list-end 'count rest list 1) n))))
    ((good? . lists)
     (let loop ((ls lists) (n 0))
       (let ((heads (%heads ls)))
         (if heads
             (loop (%tails ls) (if (apply good? heads) (+ n 1) n))
             n))))))

(define (take-while good? list)
  (let loop ((rest list) (acc '()))
    (if (and (pair? rest) (good? (car rest)))
        (loop (cdr rest) (cons (car rest) acc))
        (reverse acc))))

(define (drop-while good? list)
  (let loop ((rest list))
    (if (and (pair? rest) (good? (car rest))) (loop (cdr rest)) rest)))

(define (span good? list)
  (let loop ((rest list) (acc '()))
    (if (and (pair? rest) (good? (car rest)))
        (loop (cdr rest) (cons (car rest) acc))
        (values (reverse acc) rest))))

(define (srfi-1:break stop? list)
  (span (lambda (x) (not (stop? x))) list))

;; ---- folding ----

(define fold
  (case-lambda
    ((f seed list)
     (let loop ((rest list) (acc seed))
       (if (pair? rest)
           (loop (cdr rest) (f (car rest) acc))
           (begin (%check-list-end 'fold rest list 2) acc))))
    ((f seed list1 list2)
     (let loop ((a list1) (b list2) (acc seed))
       (if (and (pair? a) (pair? b))
           (loop (cdr a) (cdr b) (f (car a) (car b) acc))
           acc)))
    ((f seed . lists)
     (let loop ((ls lists) (acc seed))
       (let ((heads (%heads ls)))
         (if heads
             (loop (%tails ls) (apply f (append heads (list acc))))
             acc))))))

(define fold-right
  (case-lambda
    ((f seed list)
     (let loop ((rest (reverse list)) (acc seed))
       (if (pair? rest) (loop (cdr rest) (f (car rest) acc)) acc)))
    ((f seed . lists)
     (let loop ((rest (reverse (apply %map-shortest list lists))) (acc seed))
       (if (pair? rest)
           (loop (cdr rest) (apply f (append (car rest) (list acc))))
           acc)))))

(define (reduce f default list)
  (if (pair? list)
      (let loop ((rest (cdr list)) (acc (car list)))
        (if (pair? rest) (loop (cdr rest) (f (car rest) acc)) acc))
      (begin (%check-list-end 'reduce list list 2) default)))

(define (reduce-right f default list)
  (if (pair? list)
      (let ((reversed (reverse list)))
        (let loop ((rest (cdr reversed)) (acc (car reversed)))
          (if (pair? rest) (loop (cdr rest) (f (car rest) acc)) acc)))
      default))

(define reduce-left reduce)

(define (pair-fold f seed . lists)
  (let loop ((ls lists) (acc seed))
    (if (every pair? ls)
        (let ((tails (%tails ls)))  ; before f, which may cut the pairs
          (loop tails (apply f (append ls (list acc)))))
        acc)))

(define (pair-fold-right f seed . lists)
  (let collect ((ls lists) (acc '()))
    (if (every pair? ls)
        (collect (%tails ls) (cons ls acc))
        (let loop ((rest acc) (result seed))
          (if (pair? rest)
              (loop (cdr rest) (apply f (append (car rest) (list result))))
              result)))))

(define (pair-for-each f . lists)
  (let loop ((ls lists))
    (when (every pair? ls)
      (let ((tails (%tails ls)))
        (apply f ls)
        (loop tails)))))

(define (unfold stop? f next seed [tail-gen (lambda (x) '())])
  (let loop ((seed seed) (acc '()))
    (if (stop? seed)
        (append-reverse acc (tail-gen seed))
        (loop (next seed) (cons (f seed) acc)))))

(define (unfold-right stop? f next seed [tail '()])
  (let loop ((seed seed) (acc tail))
    (if (stop? seed)
        acc
        (loop (next seed) (cons (f seed) acc)))))

(define (list-tabulate n f)
  (let loop ((i (- n 1)) (acc '()))
    (if (< i 0) acc (loop (- i 1) (cons (f i) acc)))))
