(define-values (get put) (let ([store (make-hash)]) (values (lambda (k) (hash-ref store k #f)) (lambda (k v) (hash-set! store k v)))))
(put 'x 1)
(put 'y 2)
(println (list (get 'x) (get 'y) (get 'z)))
