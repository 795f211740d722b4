;; strings.scm — string procedures that call procedures, R7RS's.

(define string-for-each
  (case-lambda
    ((f s)
     (let ((n (string-length s)))
       (let loop ((i 0))
         (when (< i n)
           (f (string-ref s i))
           (loop (+ i 1))))))
    ((f . ss)
     (let ((n (apply min (map string-length ss))))
       (let loop ((i 0))
         (when (< i n)
           (apply f (map (lambda (s) (string-ref s i)) ss))
           (loop (+ i 1))))))))

(define string-map
  (case-lambda
    ((f s)
     (let ((n (string-length s)))
       (let loop ((i 0) (acc '()))
         (if (< i n)
             (loop (+ i 1) (cons (f (string-ref s i)) acc))
             (list->string (reverse acc))))))
    ((f . ss)
     (list->string (apply %map-shortest f (map string->list ss))))))
