;; sorting.scm — stable merge sort on the user's comparison, and the names of SRFI 95 and 132.
;;
;; Sorting a list with a builtin comparison is C's (%sort-list); everything else is a merge of runs
;; here, on the VM's own stack, so that a comparison may suspend or escape.

;; Two sorted lists into one, by instructions of the machine's own (wasm/vm/code.h, MERGE_TAKE): lists that rise give one
;; that falls, and the other way round, since what is taken goes in front of what was taken before. `less?` is asked
;; (less? b a), so that equal items of `a` come first in what rises. Keyed: the items are pairs, and the cars compared.
(define %merge-rising (%make-merge #f #f))
(define %merge-falling (%make-merge #t #f))
(define %merge-rising-keyed (%make-merge #f #t))
(define %merge-falling-keyed (%make-merge #t #t))
(define (%merge-lists less? a b) (reverse (%merge-rising less? a b)))

;; The first n items of list, sorted: rising or falling.
(define (%merge-runs less? list n falling? keyed?)
  (cond ((= n 0) '())
        ((= n 1) (cons (car list) '()))
        ((= n 2)
         (let* ((a (car list))
                (b (cadr list))
                (turned? (if keyed? (less? (car b) (car a)) (less? b a))))
           (if (eq? (not turned?) falling?) (%list b a) (%list a b))))
        (else
         (let* ((half (quotient n 2))
                (a (%merge-runs less? list half (not falling?) keyed?))
                (b (%merge-runs less? (list-tail list half) (- n half) (not falling?) keyed?)))
           (if falling?
               (if keyed? (%merge-rising-keyed less? a b) (%merge-rising less? a b))
               (if keyed? (%merge-falling-keyed less? a b) (%merge-falling less? a b)))))))

(define (%merge-sort less? list n) (%merge-runs less? list n #f #f))

(define (%sort less? list)
  (or (%sort-list list less? #f)
      (%merge-sort less? list (length list))))

;; The same of entries (key . item), by their keys: a list of them.
(define (%sort-entries less? entries) (%merge-runs less? entries (length entries) #f #t))

(define (%sort-by less? key list)
  (if key
      (map cdr (%sort-entries less? (map (lambda (x) (cons (key x) x)) list)))
      (%sort less? list)))

(define (%sort-range! less? v start end)
  (let loop ((i start) (rest (%sort less? (vector->list v start end))))
    (when (pair? rest)
      (vector-set! v i (car rest))
      (loop (+ i 1) (cdr rest)))))

(define (%sorted-list? less? list)
  (or (null? list)
      (let loop ((a (car list)) (rest (cdr list)))
        (or (null? rest)
            (and (not (less? (car rest) a))
                 (loop (car rest) (cdr rest)))))))

;; ---- SRFI 95: (sort sequence less? [key]), either kind of sequence ----

;; Chibi sorts anything without a comparison: by %object-order.
(define (%less-and-sequence who a b)
  (cond ((not b) (values a (lambda (x y) (< (%object-order x y) 0))))
        ((procedure? b) (values a b))
        ((procedure? a) (values b a))
        (else (%err-type who 1 "procedure" b))))

(define (srfi-95:sort a [b #f] [key #f])
  (let-values (((sequence less?) (%less-and-sequence 'sort a b)))
    (cond ((vector? sequence) (list->vector (%sort-by less? key (vector->list sequence))))
          ((list? sequence) (%sort-by less? key sequence))
          (else (%err-type 'sort 0 "list or vector" sequence)))))

(define (srfi-95:sort! a [b #f] [key #f])
  (let-values (((sequence less?) (%less-and-sequence 'sort! a b)))
    (if (vector? sequence)
        (let loop ((i 0) (rest (%sort-by less? key (vector->list sequence))))
          (if (pair? rest)
              (begin (vector-set! sequence i (car rest)) (loop (+ i 1) (cdr rest)))
              sequence))
        (%sort-by less? key sequence))))

(define (sorted? sequence less? [key #f])
  (let ((items (if (vector? sequence) (vector->list sequence) sequence)))
    (%sorted-list? less? (if key (map key items) items))))

(define (merge a b less? [key #f])
  (%merge-lists (if key (lambda (x y) (less? (key x) (key y))) less?) a b))
(define (merge! a b less? [key #f]) (merge a b less? key))

;; ---- SRFI 132 ----

(define (list-sort less? list)
  (if (procedure? less?) (%sort less? list) (%sort list less?)))
(define list-stable-sort list-sort)
(define list-sort! list-sort)
(define list-stable-sort! list-sort)
(define (list-sorted? less? list) (%sorted-list? less? list))
(define (list-merge less? a b) (%merge-lists less? a b))
(define list-merge! list-merge)

(define (srfi-132:vector-sort less? v [start 0] [end (vector-length v)])
  (if (procedure? less?)
      (list->vector (%sort less? (vector->list v start end)))
      (srfi-132:vector-sort v less?)))
(define srfi-132:vector-stable-sort srfi-132:vector-sort)
(define (srfi-132:vector-sort! less? v [start 0] [end #f])
  (if (procedure? less?)
      (%sort-range! less? v start (or end (vector-length v)))
      (srfi-132:vector-sort! v less?)))
(define srfi-132:vector-stable-sort! srfi-132:vector-sort!)
(define (vector-sorted? less? v [start 0] [end (vector-length v)])
  (%sorted-list? less? (vector->list v start end)))

(define (vector-merge less? a b [sa 0] [ea (vector-length a)] [sb 0] [eb (vector-length b)])
  (list->vector (%merge-lists less? (vector->list a sa ea) (vector->list b sb eb))))
(define (vector-merge! less? to a b
                       [at 0] [sa 0] [ea (vector-length a)] [sb 0] [eb (vector-length b)])
  (vector-copy! to at (vector-merge less? a b sa ea sb eb)))

(define (list-delete-neighbor-dups same? list)
  (if (null? list)
      '()
      (let loop ((rest (cdr list)) (acc (%list (car list))))
        (cond ((null? rest) (reverse acc))
              ((same? (car acc) (car rest)) (loop (cdr rest) acc))
              (else (loop (cdr rest) (cons (car rest) acc)))))))
(define list-delete-neighbor-dups! list-delete-neighbor-dups)

(define (vector-delete-neighbor-dups same? v [start 0] [end (vector-length v)])
  (list->vector (list-delete-neighbor-dups same? (vector->list v start end))))
(define (vector-delete-neighbor-dups! same? v [start 0] [end (vector-length v)])
  (let ((kept (vector-delete-neighbor-dups same? v start end)))
    (vector-copy! v start kept)
    (+ start (vector-length kept))))

(define (vector-find-median less? v knil [mean (lambda (a b) (/ (+ a b) 2))])
  (%median (%sort less? (vector->list v)) (vector-length v) knil mean))
(define (vector-find-median! less? v knil [mean (lambda (a b) (/ (+ a b) 2))])
  (%sort-range! less? v 0 (vector-length v))
  (%median (vector->list v) (vector-length v) knil mean))
(define (%median sorted n knil mean)
  (cond ((= n 0) knil)
        ((odd? n) (list-ref sorted (quotient n 2)))
        (else (mean (list-ref sorted (- (quotient n 2) 1))
                    (list-ref sorted (quotient n 2))))))

(define (vector-select! less? v k [start 0] [end (vector-length v)])
  (list-ref (%sort less? (vector->list v start end)) k))
(define (vector-separate! less? v k [start 0] [end (vector-length v)])
  (%sort-range! less? v start end))
