#lang racket
(define text
  "It was the best of times, it was the worst of times, it was the age of wisdom,
it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity.")
(define words (map string-downcase (regexp-match* #px"[[:alpha:]]+" text)))
(define freq
  (for/fold ([h (hash)]) ([w words]) (hash-update h w add1 0)))
(define (top n)
  (take (sort (hash->list freq)
              (lambda (a b)
                (or (> (cdr a) (cdr b))
                    (and (= (cdr a) (cdr b)) (string<? (car a) (car b))))))
        n))
(for ([p (top 6)])
  (printf "~a ~a ~a\n" (~a (car p) #:min-width 8 #:align 'right) (~r (cdr p) #:min-width 3)
          (make-string (cdr p) #\#)))
(printf "~a words, ~a distinct, mean length ~a\n"
        (length words) (hash-count freq)
        (real->decimal-string (/ (apply + (map string-length words)) (length words)) 3))
(define (vowels s) (for/sum ([c s]) (if (memv c (string->list "aeiou")) 1 0)))
(printf "vowels: ~a\n" (vowels (string-downcase text)))
(define sentences (string-split text #px"[.]\\s*"))
(length sentences)
(string-titlecase "the age of wisdom")
(list->string (sort (remove-duplicates (string->list (string-append* words))) char<?))
(for/list ([w (in-list words)] #:when (> (string-length w) 7)) w)
(exact->inexact (/ 22 7))
