;; Pattern 15, stream processing: read piece by piece, keep a small state, never the whole.
;;
;;   python examples/make_corpus.py corpus.txt --limit 30
;;   rlm-wasm run examples/patterns/15-stream-processing.scm --context corpus.txt --store sqlite:///stream.db

(define piece 4000)

;; The state is where we are and what we know: it is all that is kept, and it survives a crash.
(define key (string-append "stream:" (content-key (context-length) (context-slice 0 1000))))
(define (read-state) (or (restore key) (cons 0 "")))

(define (step state)
  (define at (car state))
  (define text (context-slice at (min (+ at piece) (context-length))))
  (define known
    (syntax-e
     (llm-query #:instruction "Update the summary with the new text: summarise both in three sentences."
                #:data (string-append (cdr state) "\n" text)
                #:model "cheap")))
  (checkpoint key (cons (+ at (string-length text)) known)))

(define end-state
  (let loop ([state (read-state)])
    (if (>= (car state) (context-length)) state (loop (step state)))))

(checkpoint key (cons 0 ""))              ; done: the next run begins anew
(finish (cdr end-state))
