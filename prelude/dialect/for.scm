;; The for forms, each by what it does with its body's value. The loops themselves: for-core.scm.

;; The transformer of a loop; `expand` gets who, nested?, the form's operands and the means of renaming.
(define (%for-transformer who nested? expand)
  (lambda (form rename compare)
    (set! %macro-form form)
    (if (and (list? form) (pair? (cdr form)) (or (list? (cadr form)) (keyword? (cadr form))))
        (begin
          (set! %loop-asks? (and %repl-environment (%asks? (cdr form) %repl-environment)))
          (if %loop-asks? (%note-body! who (cdr form)))
          (expand who nested? (cdr form) rename compare (%fresh-namer rename)))
        (%macro-error who "bad syntax" form))))

;; a loop with one hidden accumulator: (single start wrap step) where step gets the body's
;; expression and the accumulator and gives the new accumulator
(define (%for-single start step wrap)
  (lambda (who nested? args rename compare fresh)
    (let* ((acc (fresh "acc")) (accs `((,acc ,(start rename)))))
      (wrap rename
            (%for-loop who nested? (car args) accs rename compare fresh acc
                       (lambda (next)
                         (%for-body who (cdr args) rename fresh (list acc) acc next
                                    (lambda (forms next)
                                      (next (list (step rename (%body-expression rename forms) acc)))))))))))

;; a loop that may end early: `turn` gets the body's expression, the accumulator and `again`, a
;; procedure from the new accumulator's expression to code
(define (%for-early start turn)
  (lambda (who nested? args rename compare fresh)
    (let* ((acc (fresh "acc")) (accs `((,acc ,start))))
      (%for-loop who nested? (car args) accs rename compare fresh acc
                 (lambda (next)
                   (%for-body who (cdr args) rename fresh (list acc) acc next
                              (lambda (forms next)
                                (turn rename (%body-expression rename forms) acc fresh
                                      (lambda (expr) (next (list expr)))))))))))

(define (%no-wrap rename code) code)
(define (%wrap-in name) (lambda (rename code) `(,(rename name) ,code)))

(define (%expand-for who nested? args rename compare fresh)
  (let ((done `(,(rename 'void))))
    (%for-loop who nested? (car args) '() rename compare fresh done
               (lambda (next)
                 (%for-body who (cdr args) rename fresh '() done next
                            (lambda (forms next)
                              `(,(rename 'begin) (,(rename 'let) () ,@forms) ,(next '()))))))))

(define %expand-for/list
  (%for-single (lambda (rename) `(,(rename 'quote) ()))
               (lambda (rename body acc) `(,(rename 'cons) ,body ,acc))
               (%wrap-in 'reverse!)))
(define %expand-for/append
  (%for-single (lambda (rename) `(,(rename 'quote) ()))
               (lambda (rename body acc) `(,(rename 'append-reverse) ,body ,acc))
               (%wrap-in 'reverse!)))
(define %expand-for/sum
  (%for-single (lambda (rename) 0)
               (lambda (rename body acc) `(,(rename '+) ,acc ,body)) %no-wrap))
(define %expand-for/product
  (%for-single (lambda (rename) 1)
               (lambda (rename body acc) `(,(rename '*) ,acc ,body)) %no-wrap))
(define %expand-for/last
  (%for-single (lambda (rename) #f) (lambda (rename body acc) body) %no-wrap))
(define %expand-for/string
  (%for-single (lambda (rename) `(,(rename 'quote) ()))
               (lambda (rename body acc) `(,(rename 'cons) ,body ,acc))
               (%wrap-in '%reversed-pieces->string)))

(define %expand-for/and
  (%for-early #t (lambda (rename body acc fresh again)
                   (let ((v (fresh "v")))
                     `(,(rename 'let) ((,v ,body))
                       (,(rename 'if) ,v ,(again v) #f))))))
(define %expand-for/or
  (%for-early #f (lambda (rename body acc fresh again)
                   (let ((v (fresh "v")))
                     `(,(rename 'let) ((,v ,body))
                       (,(rename 'if) ,v ,v ,(again #f)))))))
(define %expand-for/first
  (%for-early #f (lambda (rename body acc fresh again) body)))

;; (for/fold ([acc init] ... [#:result expr]) (clause ...) body ...)
(define (%expand-for/fold who nested? args rename compare fresh)
  (define (parse specs)
    (let loop ((specs specs) (accs '()))
      (cond ((null? specs) (values (reverse accs) #f))
            ((and (keyword? (car specs)) (equal? (keyword->string (car specs)) "result") (pair? (cdr specs)))
             (let-values (((more result) (loop (cddr specs) accs)))
               (values more (list (cadr specs)))))
            ((and (%binding? (car specs)) (identifier? (caar specs)))
             (loop (cdr specs) (cons (car specs) accs)))
            (else (%macro-error who "expected an accumulator [id expr]" (car specs))))))
  (if (not (and (pair? args) (list? (car args)) (pair? (cdr args))))
      (%macro-error who "expected ([accumulator init] ...) ([id sequence] ...) body ..." args)
      (let-values (((accs result) (parse (car args))))
        (let* ((ids (map car accs))
               (done (cond (result (car result))
                           ((= (length ids) 1) (car ids))
                           (else `(,(rename 'values) ,@ids)))))
          (%for-loop who nested? (cadr args) accs rename compare fresh done
                     (lambda (next)
                       (%for-body who (cddr args) rename fresh ids done next
                                  (lambda (forms next)
                                    (case (length ids)
                                      ((0) `(,(rename 'begin) (,(rename 'let) () ,@forms) ,(next '())))
                                      ((1) (next (list (%body-expression rename forms))))
                                      (else (%for-values forms (length ids) rename compare fresh next)))))))))))

;; (for/lists (id ... [#:result expr]) (clause ...) body ...)
(define (%expand-for/lists who nested? args rename compare fresh)
  (let-values (((ids result)
                (let loop ((ids (car args)) (found '()))
                  (cond ((null? ids) (values (reverse found) #f))
                        ((keyword? (car ids)) (values (reverse found) (list (cadr ids))))
                        (else (loop (cdr ids) (cons (car ids) found)))))))
    (let* ((reversed `(,(rename 'let) ,(map (lambda (id) (list id `(,(rename 'reverse) ,id))) ids)
                       ,(if result (car result) `(,(rename 'values) ,@ids)))))
      (%for-loop who nested? (cadr args) (map (lambda (id) `(,id (,(rename 'quote) ()))) ids)
                 rename compare fresh reversed
                 (lambda (next)
                   (%for-body who (cddr args) rename fresh ids reversed next
                              (lambda (forms next)
                                (%for-values forms (length ids) rename compare fresh
                                             (lambda (exprs)
                                               (next (map (lambda (expr id) `(,(rename 'cons) ,expr ,id)) exprs ids)))))))))))

;; (for/vector [#:length n [#:fill v]] (clause ...) body ...)
(define (%expand-for/vector who nested? args rename compare fresh)
  (let-values (((keys args) (%take-keywords who args '(#:length #:fill))))
    (let ((n (assq '#:length keys)) (fill (assq '#:fill keys)))
      (if (not n)
          ((%for-single (lambda (rename) `(,(rename 'quote) ()))
                        (lambda (rename body acc) `(,(rename 'cons) ,body ,acc))
                        (%wrap-in '%vector-of-reversed))
           who nested? args rename compare fresh)
          (let ((v (fresh "vector")) (i (fresh "i")) (size (fresh "size")))
            `(,(rename 'let*) ((,size ,(cdr n)) (,v (,(rename 'make-vector) ,size ,(if fill (cdr fill) 0))))
              ,(%for-loop who nested? (car args) `((,i 0)) rename compare fresh v
                          (lambda (next)
                            `(,(rename 'if) (,(rename '<) ,i ,size)
                              ,(%for-body who (cdr args) rename fresh (list i) v next
                                          (lambda (forms next)
                                            `(,(rename 'begin)
                                              (,(rename 'vector-set!) ,v ,i ,(%body-expression rename forms))
                                              ,(next (list `(,(rename '+) ,i 1))))))
                              ,v)))))))))

;; for/hash and its kin: a table of its own is filled, and sealed at the end
(define (%for-table make set seal)
  (lambda (who nested? args rename compare fresh)
    (let ((t (fresh "table")))
      `(,(rename 'let) ((,t (,(rename make))))
        ,(let ((done `(,(rename seal) ,t)))
           (%for-loop who nested? (car args) '() rename compare fresh done
                      (lambda (next)
                        (%for-body who (cdr args) rename fresh '() done next
                                   (lambda (forms next)
                                     (%for-values forms 2 rename compare fresh
                                                  (lambda (exprs)
                                                    `(,(rename 'begin) (,(rename set) ,t ,@exprs) ,(next '()))))))))))))) 

(define (%mutable-set-of table) (%record %mutable-set-type table))
(define (%for-set make seal)
  (lambda (who nested? args rename compare fresh)
    (let ((t (fresh "table")))
      `(,(rename 'let) ((,t (,(rename make))))
        ,(let ((done `(,(rename seal) ,t)))
           (%for-loop who nested? (car args) '() rename compare fresh done
                      (lambda (next)
                        (%for-body who (cdr args) rename fresh '() done next
                                   (lambda (forms next)
                                     `(,(rename 'begin)
                                       (,(rename 'hash-set!) ,t ,(%body-expression rename forms) #t)
                                       ,(next '())))))))))))

;; for/stream: the rest of the loop is the rest of the stream
(define (%expand-for/stream who nested? args rename compare fresh)
  (let ((done (rename 'empty-stream)))
    (%for-loop who nested? (car args) '() rename compare fresh done
               (lambda (next)
                 (%for-body who (cdr args) rename fresh '() done next
                            (lambda (forms next)
                              `(,(rename 'stream-cons) ,(%body-expression rename forms) ,(next '()))))))))

(define-syntax for (er-macro-transformer (%for-transformer 'for #f %expand-for)))
(define-syntax for* (er-macro-transformer (%for-transformer 'for* #t %expand-for)))
(define-syntax for/list (er-macro-transformer (%for-transformer 'for/list #f %expand-for/list)))
(define-syntax for*/list (er-macro-transformer (%for-transformer 'for*/list #t %expand-for/list)))
(define-syntax for/append (er-macro-transformer (%for-transformer 'for/append #f %expand-for/append)))
(define-syntax for*/append (er-macro-transformer (%for-transformer 'for*/append #t %expand-for/append)))
(define-syntax for/vector (er-macro-transformer (%for-transformer 'for/vector #f %expand-for/vector)))
(define-syntax for*/vector (er-macro-transformer (%for-transformer 'for*/vector #t %expand-for/vector)))
(define-syntax for/fold (er-macro-transformer (%for-transformer 'for/fold #f %expand-for/fold)))
(define-syntax for*/fold (er-macro-transformer (%for-transformer 'for*/fold #t %expand-for/fold)))
(define-syntax for/lists (er-macro-transformer (%for-transformer 'for/lists #f %expand-for/lists)))
(define-syntax for*/lists (er-macro-transformer (%for-transformer 'for*/lists #t %expand-for/lists)))
(define-syntax for/sum (er-macro-transformer (%for-transformer 'for/sum #f %expand-for/sum)))
(define-syntax for*/sum (er-macro-transformer (%for-transformer 'for*/sum #t %expand-for/sum)))
(define-syntax for/product (er-macro-transformer (%for-transformer 'for/product #f %expand-for/product)))
(define-syntax for*/product (er-macro-transformer (%for-transformer 'for*/product #t %expand-for/product)))
(define-syntax for/and (er-macro-transformer (%for-transformer 'for/and #f %expand-for/and)))
(define-syntax for*/and (er-macro-transformer (%for-transformer 'for*/and #t %expand-for/and)))
(define-syntax for/or (er-macro-transformer (%for-transformer 'for/or #f %expand-for/or)))
(define-syntax for*/or (er-macro-transformer (%for-transformer 'for*/or #t %expand-for/or)))
(define-syntax for/first (er-macro-transformer (%for-transformer 'for/first #f %expand-for/first)))
(define-syntax for*/first (er-macro-transformer (%for-transformer 'for*/first #t %expand-for/first)))
(define-syntax for/last (er-macro-transformer (%for-transformer 'for/last #f %expand-for/last)))
(define-syntax for*/last (er-macro-transformer (%for-transformer 'for*/last #t %expand-for/last)))
(define-syntax for/string (er-macro-transformer (%for-transformer 'for/string #f %expand-for/string)))
(define-syntax for*/string (er-macro-transformer (%for-transformer 'for*/string #t %expand-for/string)))
(define-syntax for/stream (er-macro-transformer (%for-transformer 'for/stream #f %expand-for/stream)))
(define-syntax for*/stream (er-macro-transformer (%for-transformer 'for*/stream #t %expand-for/stream)))

(define %expand-for/hash (%for-table 'make-hash 'hash-set! '%hash-immutable))
(define %expand-for/hasheq (%for-table 'make-hasheq 'hash-set! '%hash-immutable))
(define %expand-for/hasheqv (%for-table 'make-hasheqv 'hash-set! '%hash-immutable))
(define %expand-for/set (%for-set 'make-hash '%table->set!))
(define %expand-for/seteq (%for-set 'make-hasheq '%table->set!))
(define %expand-for/seteqv (%for-set 'make-hasheqv '%table->set!))
(define-syntax for/hash (er-macro-transformer (%for-transformer 'for/hash #f %expand-for/hash)))
(define-syntax for*/hash (er-macro-transformer (%for-transformer 'for*/hash #t %expand-for/hash)))
(define-syntax for/hasheq (er-macro-transformer (%for-transformer 'for/hasheq #f %expand-for/hasheq)))
(define-syntax for*/hasheq (er-macro-transformer (%for-transformer 'for*/hasheq #t %expand-for/hasheq)))
(define-syntax for/hasheqv (er-macro-transformer (%for-transformer 'for/hasheqv #f %expand-for/hasheqv)))
(define-syntax for*/hasheqv (er-macro-transformer (%for-transformer 'for*/hasheqv #t %expand-for/hasheqv)))
(define-syntax for/set (er-macro-transformer (%for-transformer 'for/set #f %expand-for/set)))
(define-syntax for*/set (er-macro-transformer (%for-transformer 'for*/set #t %expand-for/set)))
(define-syntax for/seteq (er-macro-transformer (%for-transformer 'for/seteq #f %expand-for/seteq)))
(define-syntax for/seteqv (er-macro-transformer (%for-transformer 'for/seteqv #f %expand-for/seteqv)))
(define-syntax for*/seteq (er-macro-transformer (%for-transformer 'for*/seteq #t %expand-for/seteq)))
(define-syntax for*/seteqv (er-macro-transformer (%for-transformer 'for*/seteqv #t %expand-for/seteqv)))
(define %expand-for/mutable-set (%for-set 'make-hash '%mutable-set-of))
(define-syntax for/mutable-set (er-macro-transformer (%for-transformer 'for/mutable-set #f %expand-for/mutable-set)))
(define-syntax for*/mutable-set (er-macro-transformer (%for-transformer 'for*/mutable-set #t %expand-for/mutable-set)))

;; for/foldr: as if the body of the last step came first. Each step's rest of the loop is a thunk, so that
;; with #:delay it need not run at all.
(define-syntax for/foldr (er-macro-transformer (lambda (form rename compare) (%expand-for/foldr 'for/foldr #f form rename compare))))
(define-syntax for*/foldr (er-macro-transformer (lambda (form rename compare) (%expand-for/foldr 'for*/foldr #t form rename compare))))
(define (%expand-for/foldr who nested? form rename compare)
  (set! %macro-form form)
  (if (not (and (list? form) (>= (length form) 4) (list? (cadr form)) (list? (caddr form))))
      (%macro-error who "expected ([accumulator init] ...) ([id sequence] ...) body ..." form))
  (let* ((fresh (%fresh-namer rename)) (steps (fresh "steps")) (rest (fresh "rest")) (thunk (fresh "thunk")))
    (let loop ((specs (cadr form)) (accs '()) (result #f) (delay? #f) (as #f))
      (cond ((and (pair? specs) (memq (car specs) '(#:result #:delay-as)) (pair? (cdr specs)))
             (if (eq? (car specs) '#:result)
                 (loop (cddr specs) accs (cadr specs) delay? as)
                 (loop (cddr specs) accs result #t (cadr specs))))
            ((and (pair? specs) (eq? (car specs) '#:delay)) (loop (cdr specs) accs result #t as))
            ((and (pair? specs) (%binding? (car specs)) (identifier? (caar specs)))
             (loop (cdr specs) (cons (car specs) accs) result delay? as))
            ((pair? specs) (%macro-error who "expected an accumulator [id expr]" (car specs)))
            (else
             (let* ((accs (reverse accs)) (ids (map car accs)) (temps (map (lambda (id) (fresh "t")) ids))
                    ;; a step: a procedure from the thunk of what follows to its own values
                    (step
                     (cond ((not delay?)
                            `(,(rename 'call-with-values) ,thunk (,(rename 'lambda) ,ids ,@(cdddr form))))
                           (else
                            `(,(rename 'let*)
                              ((,rest (,(rename 'delay) (,(rename 'call-with-values) ,thunk ,(rename 'list))))
                               ,@(if as `((,as ,rest)) '())
                               ,@(let number ((ids ids) (i 0))
                                   (if (null? ids)
                                       '()
                                       (cons `(,(car ids) (,(rename 'delay) (,(rename 'list-ref) (,(rename 'force) ,rest) ,i)))
                                             (number (cdr ids) (+ i 1))))))
                              ,@(cdddr form)))))
                    (run `(,(rename '%run-foldr)
                           (,(rename (if nested? 'for*/fold 'for/fold)) ((,steps (,(rename 'quote) ()))) ,(caddr form)
                            (,(rename 'cons) (,(rename 'lambda) (,thunk) ,step) ,steps))
                           (,(rename 'lambda) () (,(rename 'values) ,@(map cadr accs))))))
               (if result
                   `(,(rename 'call-with-values) (,(rename 'lambda) () ,run) (,(rename 'lambda) ,ids ,result))
                   run)))))))
;; the steps, the last first
(define (%run-foldr steps init)
  (let loop ((steps steps) (rest init))
    (if (null? steps)
        (rest)
        (let ((step (car steps)))
          (loop (cdr steps) (lambda () (step rest)))))))

;; What a loop becomes rests on its form alone, and on whether its body makes calls: what %asks? looks at for that, it counts.
(%repeatable! 'for 'for* 'for/list 'for*/list 'for/append 'for*/append 'for/vector 'for*/vector 'for/fold 'for*/fold
              'for/lists 'for*/lists 'for/sum 'for*/sum 'for/product 'for*/product 'for/and 'for*/and 'for/or 'for*/or
              'for/first 'for*/first 'for/last 'for*/last 'for/string 'for*/string 'for/stream 'for*/stream 'for/hash
              'for*/hash 'for/hasheq 'for*/hasheq 'for/hasheqv 'for*/hasheqv 'for/set 'for*/set 'for/seteq 'for/seteqv
              'for*/seteq 'for*/seteqv 'for/mutable-set 'for*/mutable-set 'for/foldr 'for*/foldr)
