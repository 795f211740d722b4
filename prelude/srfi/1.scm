;; srfi/1.scm — the rest of SRFI 1: constructors, selectors, association lists, lists as sets.

(define (xcons a b) (cons b a))
(define (circular-list first . rest)
  (let ((list (cons first rest)))
    (set-cdr! (last-pair list) list)
    list))

(define (not-pair? x) (not (pair? x)))
(define (null-list? x)
  (cond ((pair? x) #f)
        ((null? x) #t)
        (else (%err-type 'null-list? 0 "list" x))))

(define (list= same? . lists)
  (define (two a b)
    (cond ((eq? a b) #t)
          ((null-list? a) (null-list? b))
          ((null-list? b) #f)
          (else (and (same? (car a) (car b)) (two (cdr a) (cdr b))))))
  (or (null? lists)
      (let loop ((a (car lists)) (rest (cdr lists)))
        (or (null? rest)
            (and (two a (car rest)) (loop (car rest) (cdr rest)))))))

(define (car+cdr p) (values (car p) (cdr p)))
(define (split-at list n)
  (let loop ((rest list) (i n) (head '()))
    (cond ((eqv? i 0) (values (reverse head) rest))
          ((and (pair? rest) (exact-integer? i) (> i 0)) (loop (cdr rest) (- i 1) (cons (car rest) head)))
          ((exact-nonnegative-integer? n)
           (%err-type 'split-at 0 (string-append "a list with at least " (number->string n) " elements") list))
          (else (%err-type 'split-at 1 "exact-nonnegative-integer?" n)))))
(define (concatenate lists) (apply append lists))

(define (zip list . lists) (apply %map-shortest %list list lists))
(define (unzip1 lists) (map car lists))
(define (unzip2 lists) (values (map car lists) (map cadr lists)))
(define (unzip3 lists) (values (map car lists) (map cadr lists) (map caddr lists)))
(define (unzip4 lists)
  (values (map car lists) (map cadr lists) (map caddr lists) (map cadddr lists)))
(define (unzip5 lists)
  (values (map car lists) (map cadr lists) (map caddr lists) (map cadddr lists)
          (map fifth lists)))

;; ---- association lists ----

(define (alist-cons key value alist) (cons (cons key value) alist))
(define (alist-copy alist)
  (map (lambda (entry) (if (pair? entry) (cons (car entry) (cdr entry)) entry)) alist))
(define (alist-delete key alist [same? equal?])
  (srfi-1:remove (lambda (entry) (same? key (car entry))) alist))

;; ---- lists as sets ----

(define (%lset-has? same? list x)
  (cond ((eq? same? eq?) (memq x list))
        ((eq? same? eqv?) (memv x list))
        ((eq? same? equal?) (member x list))
        (else (any (lambda (y) (same? y x)) list))))

(define (%lset-subset? same? a b)
  (every (lambda (x) (any (lambda (y) (same? x y)) b)) a))

(define (%lset-chain holds? lists)
  (or (null? lists)
      (let loop ((a (car lists)) (rest (cdr lists)))
        (or (null? rest)
            (and (or (eq? a (car rest)) (holds? a (car rest)))
                 (loop (car rest) (cdr rest)))))))

(define (lset<= same? . lists)
  (%lset-chain (lambda (a b) (%lset-subset? same? a b)) lists))

(define (lset= same? . lists)
  (define (flipped a b) (same? b a))
  (%lset-chain (lambda (a b) (and (%lset-subset? same? a b) (%lset-subset? flipped b a))) lists))

(define (lset-adjoin same? list . items)
  (fold (lambda (x set) (if (%lset-has? same? set x) set (cons x set))) list items))

(define (lset-union same? . lists)
  (reduce (lambda (list set)
            (cond ((null? list) set)
                  ((null? set) list)
                  ((eq? list set) set)
                  (else
                   (fold (lambda (x set) (if (any (lambda (y) (same? y x)) set) set (cons x set)))
                         set list))))
          '() lists))

(define (lset-intersection same? list . lists)
  (let ((lists (delete list lists eq?)))
    (cond ((any null? lists) '())
          ((null? lists) list)
          (else
           (filter (lambda (x) (every (lambda (l) (any (lambda (y) (same? x y)) l)) lists)) list)))))

(define (lset-difference same? list . lists)
  (let ((lists (filter pair? lists)))
    (cond ((null? lists) list)
          ((memq list lists) '())
          (else
           (filter (lambda (x) (every (lambda (l) (not (any (lambda (y) (same? x y)) l))) lists))
                   list)))))

(define (lset-xor same? . lists)
  (reduce (lambda (b a)
            (let ((only-a (filter (lambda (x) (not (any (lambda (y) (same? x y)) b))) a))
                  (only-b (filter (lambda (x) (not (any (lambda (y) (same? y x)) a))) b)))
              (append-reverse only-b only-a)))
          '() lists))

(define (lset-diff+intersection same? list . lists)
  (partition (lambda (x)
               (not (any (lambda (l) (any (lambda (y) (same? x y)) l)) lists)))
             list))
