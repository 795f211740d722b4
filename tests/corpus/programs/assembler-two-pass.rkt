#lang racket
(define program
  '("      LOAD 10"
    "loop: SUB 1"
    "      JNZ loop   ; repeat"
    "      PRINT"
    "done: HALT"))
(struct line (label op arg) #:transparent)
(define (parse-line s)
  (define clean (string-trim (car (string-split (string-append s " ") ";" #:trim? #f))))
  (match (regexp-match #px"^(?:(\\w+):)?\\s*(\\w+)(?:\\s+(\\S+))?$" clean)
    [(list _ label op arg) (line (and label (string->symbol label)) (string->symbol op) arg)]))
(define parsed (map parse-line program))
parsed
(define labels
  (for/hasheq ([l parsed] [addr (in-naturals)] #:when (line-label l))
    (values (line-label l) addr)))
(sort (hash->list labels) symbol<? #:key car)
(define (resolve arg)
  (cond [(not arg) #f] [(string->number arg) => values] [else (hash-ref labels (string->symbol arg))]))
(define opcodes #hash((LOAD . 1) (SUB . 2) (JNZ . 3) (PRINT . 4) (HALT . 255)))
(define code
  (for/vector ([l parsed]) (cons (hash-ref opcodes (line-op l)) (resolve (line-arg l)))))
code
(define (hex n w) (string-upcase (~r n #:base 16 #:min-width w #:pad-string "0")))
(for ([ins code] [a (in-naturals)])
  (printf "~a: ~a ~a\n" (hex a 4) (hex (car ins) 2) (if (cdr ins) (hex (cdr ins) 2) "--")))
(define (execute code)
  (let loop ([pc 0] [acc 0] [steps 0])
    (match (vector-ref code pc)
      [(cons 1 n) (loop (add1 pc) n (add1 steps))]
      [(cons 2 n) (loop (add1 pc) (- acc n) (add1 steps))]
      [(cons 3 target) (loop (if (zero? acc) (add1 pc) target) acc (add1 steps))]
      [(cons 4 _) (printf "output ~a\n" acc) (loop (add1 pc) acc (add1 steps))]
      [(cons 255 _) (values acc steps)])))
(execute code)
(define-values (result steps) (execute code))
(list result steps)
