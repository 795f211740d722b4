;; Pattern 5, cumulative fold: each part is read in the light of all that came before.
;;
;;   rlm-wasm run examples/patterns/05-cumulative-fold.scm --context docs/architecture.md

(define chapters (filter non-empty-string? (map string-trim (regexp-split #px"(?m:^## )" context))))

(define notes
  (fold-sequential
   (lambda (notes chapter)
     (define heading (car (string-split chapter "\n")))
     (eprintf "reading: ~a\n" heading)
     (checkpoint "fold-notes"             ; a long fold can go on where it stopped
       (syntax-e
        (llm-query
         #:instruction "Summarise the notes and the new chapter together in five sentences. Keep the names of components."
         #:data (string-append "Notes so far:\n" notes "\n\nNew chapter:\n" chapter)
         #:model "middle"))))
   ""
   chapters))

(finish notes)
