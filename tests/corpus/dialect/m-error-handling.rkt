#lang racket
(define (safe-div a b)
  (with-handlers ([exn:fail:contract:divide-by-zero? (λ (e) (printf "caught: ~a\n" (exn-message e)) 'inf)])
    (/ a b)))
(safe-div 1 0)
(struct my-exn exn:fail (code))
(define (risky n)
  (cond [(< n 0) (raise (my-exn "negative!" (current-continuation-marks) n))]
        [(= n 0) (error 'risky "zero not allowed")]
        [(> n 100) (raise 'too-big)]
        [else n]))
(define (attempt n)
  (with-handlers ([my-exn? (λ (e) (list 'my-exn (exn-message e) (my-exn-code e)))]
                  [exn:fail? (λ (e) (list 'fail (exn-message e)))]
                  [symbol? (λ (s) (list 'symbol s))])
    (risky n)))
(map attempt '(-5 0 200 7))
(dynamic-wind (λ () (displayln "in")) (λ () 'body) (λ () (displayln "out")))
(with-handlers ([void (λ (e) (displayln "cleanup done"))])
  (dynamic-wind void (λ () (raise 'x)) (λ () (displayln "cleanup"))))
(define result (call/ec (λ (return) (for ([i 10]) (when (= i 5) (return i))) 'none)))
result
(let/ec k (+ 1 (k 42)))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (car '()))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (hash-ref (hash 'a 1) 'b))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (list-ref '(1 2) 5))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (string->symbol 5))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (error "plain message" 1 "two" 'three))
(with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (raise-user-error 'app "bad ~a" 5))
(with-handlers ([exn:fail:contract? (λ (e) (displayln (exn-message e)))]) (raise-argument-error 'f "string?" 5))
(with-handlers ([exn? (λ (e) (displayln (exn-message e)))]) (vector-ref (vector 1 2 3) 3))
(exn:fail? (with-handlers ([values values]) (error "x")))
(with-handlers* ([string? string-upcase]) (raise "abc"))
