;; time.scm — R7RS's clock, on the host's: (current-inexact-milliseconds) asks the host, is recorded,
;; and replays.

(define (current-second) (/ (current-inexact-milliseconds) 1000.0))
(define (current-jiffy) (exact (round (* 1000.0 (current-inexact-milliseconds)))))
(define (jiffies-per-second) 1000000)
