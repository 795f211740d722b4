;;; calls without end
;;; => limit calls
(let loop () (llm-query #:instruction "q") (loop))

;;; calls without end whose limit is to be caught
;;; => limit calls
(let loop () (guard (e (#t #f)) (llm-query #:instruction "q")) (loop))

;;; a ceiling of cost that is passed by many small calls
;;; => limit cost_usd
;;; limits: cost_usd=0.002
(let loop () (llm-query #:instruction "q" #:max-tokens 100) (loop))

;;; a ceiling of cost that one call alone cannot fit under
;;; => limit cost_usd
;;; limits: cost_usd=0.01
(llm-query #:instruction "q" #:max-tokens 100000)

;;; calls that have no time at all are not sent
;;; => limit fuel
;;; limits: cost_usd=0.05
(let loop () (guard (e (#t #f)) (with-timeout 0 (lambda () (llm-query #:instruction "q" #:max-tokens 1000)))) (loop))

;;; calls that are cancelled before they are sent cost nothing, and work all the same
;;; => limit fuel
;;; limits: cost_usd=0.05
(let loop () (let ((h (llm-query-async #:instruction "q" #:max-tokens 1000))) (sleep 0) (cancel h)) (loop))

;;; a fan-out whose calls fit one by one, and not together: they wait
;;; => value "10"
;;; limits: cost_usd=0.05
(length (map-async (lambda (i) (llm-query-async #:instruction "q" #:max-tokens 2000)) (range 10)))

;;; a ceiling of tokens
;;; => limit tokens
;;; limits: tokens=250
(let loop () (llm-query #:instruction "q" #:max-tokens 100) (loop))

;;; a prompt that alone is more than the ceiling of tokens
;;; => limit tokens
;;; limits: tokens=500
(llm-query #:instruction "q" #:data (make-string 10000 #\a) #:max-tokens 10)

;;; more tokens than there are
;;; => limit tokens
(llm-query #:instruction "q" #:max-tokens 1000000000000)

;;; a negative number of tokens, to get something back
;;; => error exn:fail:contract "positive integer"
(llm-query #:instruction "q" #:max-tokens -1000)

;;; tokens that are no integer
;;; => error exn:fail:contract "positive integer"
(llm-query #:instruction "q" #:max-tokens +nan.0)

;;; a temperature that is no number
;;; => error exn:fail:contract "temperature"
(llm-query #:instruction "q" #:temperature +nan.0)

;;; a budget of one's own that is wider than the session's
;;; => limit calls
(token-budget 1000000000 (let loop () (llm-query #:instruction "q" #:max-tokens 1) (loop)))

;;; more pictures than a call may carry
;;; => error exn:fail:contract "the limit images"
(llm-query #:instruction "q" #:images '("a.png" "a.png" "a.png"))

;;; a picture's cost is set aside with the text's
;;; => limit cost_usd
;;; limits: cost_usd=0.001
(llm-query #:instruction "q" #:image "a.png" #:max-tokens 1)

;;; a retry without end
;;; => limit calls
(let retry () (unless (string=? (syntax-e (llm-query #:instruction "q" #:max-tokens 5)) "never") (retry)))

;;; calls in fibers that nobody awaits
;;; => limit calls
(for ([i 40]) (spawn (lambda () (llm-query #:instruction "q" #:max-tokens 5))))
(sleep 1)

;;; calls made while a continuation goes back and back
;;; => limit calls
(define k #f) (call/cc (lambda (c) (set! k c))) (llm-query #:instruction "q" #:max-tokens 5) (k 1)

;;; calls in an after-thunk that is entered again and again
;;; => limit calls
(define k #f) (dynamic-wind void (lambda () (call/cc (lambda (c) (set! k c)))) (lambda () (llm-query #:instruction "q" #:max-tokens 5)))
(k 1)
