;; llm/loops.scm — loops that make LLM calls announce their turns, so that an account of the progress knows how
;; many calls are still to come. for-core.scm puts the calls of these procedures into such loops, and into no others.
;;
;; An item is a turn of the innermost group of clauses. A turn of an outer group stands for so many of them (its
;; weight) until the inner loop begins and tells how many there are. What was announced and will not come, after a
;; #:break, an error or an escape, is taken back when the loop is left.

(define-record-type %turns
  (%make-turns left pending open?)
  #f
  (left %turns-left %turns-set-left!)          ; announced, not begun
  (pending %turns-pending %turns-set-pending!) ; those of them that the outer turn under way stands for
  (open? %turns-open? %turns-set-open?!))      ; a turn has begun and is not done

(define (%counting-turns loop)
  (let* ((turns (%make-turns 0 0 #f)) (left (lambda () (%turns-left turns))))
    (dynamic-wind
      (lambda ()
        (%announced! left)
        (%announce! (left))) ; 0, but where a continuation comes back
      (lambda () (loop turns))
      (lambda ()
        (%turn-is-done! turns)
        (%announce! (- (left)))
        (%forget-announced! left)))))

(define (%expect! turns n)
  (%turns-set-left! turns (+ (%turns-left turns) n))
  (%announce! n))
(define (%turn-is-done! turns)
  (when (%turns-open? turns)
    (%turns-set-open?! turns #f)
    (%item-is-done!)))

;; A group of clauses begins: n turns, each of which stands for `weight` items. Where n is #f, only the turns tell.
(define (%turns-ahead! turns n weight)
  (let ((pending (%turns-pending turns)))
    (%turns-set-pending! turns 0)
    (%expect! turns (- (if n (* n weight) 0) pending))))

(define (%turn! turns n weight innermost?)
  (%turn-is-done! turns)
  (if (not (eqv? (%turns-pending turns) 0)) ; of the turn before, whose inner loop did not begin
      (%turns-ahead! turns 0 0))
  (if (not n) (%expect! turns weight))
  (cond (innermost?
         (%turns-set-left! turns (- (%turns-left turns) 1))
         (%turns-set-open?! turns #t)
         (%item-begins!))
        (else (%turns-set-pending! turns weight))))

;; The product of the sizes that `thunk` gives, where it gives such: it looks at variables before their time.
(define (%weight thunk)
  (%catch (lambda (condition) 1)
          (lambda () (let ((sizes (thunk))) (if (memq #f sizes) 1 (apply * sizes))))))
