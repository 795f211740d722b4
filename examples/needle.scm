;; Find the one line that matters in a text far too long for any prompt.
;;
;;   python examples/make_haystack.py haystack.txt      # a million lines, 65 MB
;;   rlm-wasm run examples/needle.scm --context haystack.txt
;;
;; A cheap model reads every chunk, twenty at a time; a better one reads what they found. The text
;; itself never enters the guest as a whole: each chunk is cut out when its call is made.

(define chunk-size 100000)
(define overlap 200)                    ; longer than a line: none is lost between two chunks

(define (chunk-at start)
  (context-slice start (min (+ start chunk-size overlap) (context-length))))

(define answers
  (map-async
   (lambda (start)
     (llm-query-async
      #:instruction "Find the magic number in the text. Quote its line. If there is none, answer NONE."
      #:data (chunk-at start)
      #:model "cheap"
      #:temperature 0))
   (range 0 (context-length) chunk-size)
   #:max-concurrent 20))

(define findings
  (remove-duplicates (filter (lambda (answer) (not (string-prefix? answer "NONE"))) answers)))

(eprintf "~a chunks read, ~a with a finding\n" (length answers) (length findings))

(finish
 (if (null? findings)
     "there is no magic number"
     (syntax-e
      (llm-query
       #:instruction "These lines were found in a long text. What is the magic number? Reply with the number only."
       #:data (string-join findings "\n")
       #:model "good"
       #:temperature 0))))
