#lang racket
(define (rpn str)
  (for/fold ([stack '()] #:result (if (= 1 (length stack)) (car stack) (error 'rpn "malformed: ~a left" (length stack))))
            ([tok (string-split str)])
    (match* (tok stack)
      [("+" (list* b a r)) (cons (+ a b) r)]
      [("-" (list* b a r)) (cons (- a b) r)]
      [("*" (list* b a r)) (cons (* a b) r)]
      [("/" (list* b a r)) (cons (/ a b) r)]
      [("sqrt" (cons a r)) (cons (sqrt a) r)]
      [("dup" (cons a r)) (list* a a r)]
      [("swap" (list* b a r)) (list* a b r)]
      [((app string->number (? values n)) s) (cons n s)]
      [(t _) (error 'rpn "bad token ~s with stack ~a" t stack)])))
(for ([e '("3 4 + 2 *" "5 1 2 + 4 * + 3 -" "2 dup *" "1 2 / 3 /" "9 sqrt" "2.5 2 *" "1 +" "1 2" "foo" "10 4 swap -")])
  (printf "~a => ~a\n" (~a e #:width 20)
          (with-handlers ([exn:fail? exn-message]) (rpn e))))
(rpn "2 sqrt")
(rpn "-2 3 *")
(exact->inexact (rpn "1 3 /"))
