;; runtime/places.scm — which procedures of the prelude keep the frame of a tail call that calls them.
;;
;; A tail call leaves nothing of its caller, so that an error in the procedure that was called has no place
;; in (define (check x) (error "bad" x)). A procedure that calls back nothing of the program may keep the
;; caller's frame until it returns: no loop of the program can run through it, and so nothing piles up.

;; Parameters that are data, whatever a program hands over. A procedure that has only such ones calls nothing back.
(define %data-parameters
  '(a alist at b base bits bound char chars code count context cs cursor data delimiter end end1 end2 expected field
    fields fill first form from greater hash head high i indent index input instruction irritants items j json key keys lenient?
    less list lists low lower m marks mask max message method mode model models more most n name names new obj object
    options other output overlap p1 padding parts pattern plain port prefix question r ref rest rx s s1 s2 second
    seconds separator size source specifiers start start1 start2 string strings sub suffix t table text to token
    type unit upper v value vector vectors vs who width x xs y z))

(define (%keeps-its-caller? procedure)
  (let ((signature (%procedure-signature procedure)))
    (and signature
         (every (lambda (word) (memq (string->symbol word) %data-parameters))
                (%parameter-names signature)))))

;; Of "(f a [b] #:c c . rest)": a, b, c and rest.
(define (%parameter-names signature)
  (let loop ((words (cdr (string-split (string-trim signature #rx"[()]")))) (names '()))
    (cond ((null? words) names)
          ((or (string-prefix? (car words) "#:") (string=? (car words) ".")) (loop (cdr words) names))
          (else (loop (cdr words) (cons (string-trim (car words) #rx"[][]+") names))))))

(for-each
 (lambda (name)
   (let ((value (%environment-ref (%core-environment) name #f)))
     (if (and (procedure? value) (%keeps-its-caller? value)) (%keep-caller! value))))
 (%environment-names (%core-environment)))

;; What a program hands to these runs in fibers of its own, and they have returned by then or wait for it; or
;; their parameters are keywords.
(for-each %keep-caller!
          (list error raise %raise %err-type %fail raise-argument-error raise-result-error raise-arguments-error raise-type-error
                raise-mismatch-error raise-range-error raise-user-error raise-syntax-error raise-arity-error
                llm-query llm-query-async cached-query ensemble-vote map-async parallel race vote await await-all
                await-all-syntax await-any py-exec py-eval py-set! py-call checkpoint restore heartbeat
                string-join string-split string-trim string-replace string->jsexpr jsexpr->string
                syntax-e datum->syntax get-context context-length context-slice context-lines context-search
                context-chunks))
