;; Recipe 5, production pipeline: cache (14), then an anytime answer (13), then a critic (4).
;;
;;   rlm-wasm run examples/patterns/recipe-5-production.scm --context examples/reviews.txt --store sqlite:///answers.db

(define question "What do people praise? Summarise in two sentences.")
(define key (string-append "production:" (content-key question context)))
(define (ask instruction data model)
  (syntax-e (llm-query #:instruction instruction #:data data #:model model)))

(define (quick) (checkpoint (string-append key ":quick") (ask question context "cheap")))

(define (refined draft)
  (critique-refine
   (lambda () draft)
   (lambda (draft) (ask "Is every statement about something good? Answer approved or rejected." draft "cheap"))
   (lambda (draft critique) (ask question (string-append draft "\n" context) "good"))
   #:max-iter 2 #:quality-threshold 0.9))

(define (answer)
  (define draft (quick))                  ; whatever comes, this is there
  (with-timeout 30
    (lambda () (try (refined draft) on-error (lambda (message) draft)))
    (lambda () draft)))

(finish (or (restore key) (checkpoint key (answer))))
