#lang racket
(define (risky n)
  (cond [(= n 0) (error "plain message")]
        [(= n 1) (error 'risky "with name: ~a" n)]
        [(= n 2) (raise 'a-symbol)]
        [(= n 3) (raise-argument-error 'risky "positive?" -1)]
        [(= n 4) (/ 1 0)]
        [(= n 5) (vector-ref (vector 1 2 3) 10)]
        [(= n 6) (raise (make-exn:fail:user "user failure" (current-continuation-marks)))]
        [(= n 7) (hash-ref (hash) 'missing)]
        [(= n 8) (string->symbol 5)]
        [(= n 9) ((lambda (x) x))]
        [(= n 10) (raise-user-error 'tool "bad usage")]
        [(= n 11) (first '())]
        [(= n 12) (list-ref '(1 2) 9)]
        [(= n 13) (apply + '(1 a))]
        [(= n 14) (error 'risky "multi" 1 "two" 'three)]
        [(= n 15) (assert-not-here)]
        [else n]))
(define (assert-not-here) (raise-arguments-error 'check "values differ" "left" 1 "right" "two"))
(for ([i 17])
  (with-handlers ([symbol? (lambda (s) (printf "~a symbol ~a\n" i s))]
                  [exn:fail:user? (lambda (e) (printf "~a user: ~a\n" i (exn-message e)))]
                  [exn:fail:contract:divide-by-zero? (lambda (e) (printf "~a div: ~a\n" i (exn-message e)))]
                  [exn:fail:contract:arity? (lambda (e) (printf "~a arity\n" i))]
                  [exn:fail:contract? (lambda (e) (printf "~a contract: ~a\n" i (exn-message e)))]
                  [exn:fail? (lambda (e) (printf "~a fail: ~a\n" i (exn-message e)))])
    (printf "~a result ~a\n" i (risky i))))
(define log '())
(define (note x) (set! log (cons x log)))
(with-handlers ([void (lambda (e) (note 'handled))])
  (dynamic-wind (lambda () (note 'in)) (lambda () (note 'body) (error "x")) (lambda () (note 'out))))
(reverse log)
(let/ec k (for ([i 10]) (when (= i 3) (k i))) 'never)
(with-handlers* ([number? add1]) (raise 41))
(exn-message (with-handlers ([exn? values]) (raise-type-error 'f "string" 5)))
(call-with-escape-continuation (lambda (k) (+ 1 (k 42))))
