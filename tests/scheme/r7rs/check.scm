;; check.scm — what every section of the suite starts with.
;;
;;   (check expression => expected)        equal?, and numbers of the same exactness
;;   (check-near expression => number)     to 12 digits
;;   (check-error predicate expression)    raises an object that satisfies the predicate
;;
;; (report) is the last form of a section: the number of checks, or the failures.

(define checks 0)
(define failures '())

(define (note-failure! form got expected)
  (set! failures (cons (list form 'gave got 'instead-of expected) failures)))

(define (check-value form thunk expected)
  (set! checks (+ checks 1))
  (guard (e (else (note-failure! form (if (error-object? e) (error-object-message e) (list 'raised e))
                                 expected)))
    (let ((got (thunk)))
      (unless (or (equal? got expected)
                  (and (number? got) (number? expected) (nan? got) (nan? expected)))
        (note-failure! form got expected)))))

(define (near? a b)
  (and (number? a) (number? b)
       (or (= a b)
           (<= (magnitude (- a b)) (* 1e-12 (max 1 (magnitude b)))))))

(define-syntax check
  (syntax-rules (=>)
    ((_ expression => expected) (check-value 'expression (lambda () expression) expected))))

(define-syntax check-near
  (syntax-rules (=>)
    ((_ expression => expected)
     (check-value 'expression
                  (lambda () (let ((got expression)) (if (near? got expected) 'near got)))
                  'near))))

(define-syntax check-error
  (syntax-rules ()
    ((_ predicate expression)
     (check-value 'expression
                  (lambda () (guard (e (#t (if (predicate e) 'raised (list 'other e)))) expression))
                  'raised))))

(define (report)
  (if (null? failures)
      (list 'passed checks)
      (list 'failed (length failures) 'of checks (reverse failures))))
