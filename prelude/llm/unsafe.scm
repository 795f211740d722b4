;; llm/unsafe.scm — unsafe-…: deliberate holes in the wall around scoped values. Each goes into the
;; scope log under its own name.

;; Its call is logged as unsafe-raw-query: the answer comes as plain text.
(define (unsafe-raw-query #:instruction [instruction ""] #:data [data ""] #:model [model #f]
                          #:temperature [temperature #f] #:max-tokens [max-tokens #f] #:json [json #f]
                          #:image [image #f] #:images [images '()] #:recursive [recursive #f])
  (%unwrap
   (%await (%start-call "unsafe-raw-query" instruction data model temperature max-tokens json image images recursive))))

(define (unsafe-interpolate v)
  (if (not (syntax? v)) (%err-type 'unsafe-interpolate 0 "scoped value" v))
  (%log! "unsafe-interpolate" (%scoped-text v) "sandbox" "call-id" (%scoped-call v))
  (%unwrap v))

(define (unsafe-overwrite name v)
  (if (not (symbol? name)) (%err-type 'unsafe-overwrite 0 "symbol" name))
  (%log! "unsafe-overwrite" (symbol->string name) "sandbox")
  (%environment-define! (interaction-environment) name (%plain v))
  (void))

;; Read and evaluate what a model wrote, here, with everything that the program may do. Which part of
;; its answer is the program, the host says: as for #:recursive.
(define (unsafe-exec-sub-output v)
  (let ((text (if (syntax? v) (%scoped-text v) v)))
    (if (not (string? text)) (%err-type 'unsafe-exec-sub-output 0 "scoped value or string" v))
    (%log! "unsafe-exec-sub-output" text "sandbox")
    (let* ((found (%request "program-in" text)) (program (car found)))
      (if (not program) (%fail 'exn:fail (string-append "unsafe-exec-sub-output: " (cadr found))))
      (%eval-checked program (interaction-environment) "sub-output"))))
