#lang racket
(define balance 100)
(define lock (make-semaphore 1))
(define (withdraw amount)
  (call-with-semaphore lock
    (λ () (if (>= balance amount) (begin (set! balance (- balance amount)) #t) #f))))
(define results (make-channel))
(define threads (for/list ([i 5]) (thread (λ () (channel-put results (withdraw 30))))))
(define oks (for/list ([i 5]) (channel-get results)))
(for-each thread-wait threads)
(count values oks)
balance
(define ch (make-async-channel))
(require racket/async-channel)
(define producer (thread (λ () (for ([i 3]) (async-channel-put ch (* i i))) (async-channel-put ch eof))))
(let loop ([acc '()])
  (define v (async-channel-get ch))
  (if (eof-object? v) (reverse acc) (loop (cons v acc))))
