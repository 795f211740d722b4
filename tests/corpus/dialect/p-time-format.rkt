(define (fmt secs) (let*-values ([(h r) (quotient/remainder secs 3600)] [(m s) (quotient/remainder r 60)]) (format "~a:~a:~a" h (~r m #:min-width 2 #:pad-string "0") (~r s #:min-width 2 #:pad-string "0"))))
(for ([s '(5 65 3661 86399)]) (displayln (fmt s)))
