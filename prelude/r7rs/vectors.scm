;; vectors.scm — vector procedures that call procedures, R7RS's.
;;
;; vector-map collects in a list, not in the result vector: a continuation entered again must not
;; change a vector that was returned before.

(define (%map-vector who i v) (if (vector? v) v (%err-type who i "vector" v)))
(define vector-map
  (case-lambda
    ((f v)
     (%map-vector 'vector-map 1 v)
     (let ((n (vector-length v)))
       (let loop ((i 0) (acc '()))
         (if (< i n)
             (loop (+ i 1) (cons (f (vector-ref v i)) acc))
             (%reversed->vector acc n)))))
    ((f a b)
     (let ((n (min (vector-length a) (vector-length b))))
       (let loop ((i 0) (acc '()))
         (if (< i n)
             (loop (+ i 1) (cons (f (vector-ref a i) (vector-ref b i)) acc))
             (%reversed->vector acc n)))))
    ((f . vs)
     (list->vector (apply %map-shortest f (map vector->list vs))))))

(define (%reversed->vector list n)
  (let ((v (make-vector n)))
    (let loop ((i (- n 1)) (rest list))
      (if (pair? rest)
          (begin (vector-set! v i (car rest)) (loop (- i 1) (cdr rest)))
          v))))

(define vector-for-each
  (case-lambda
    ((f v)
     (let ((n (vector-length v)))
       (let loop ((i 0))
         (when (< i n)
           (f (vector-ref v i))
           (loop (+ i 1))))))
    ((f . vs)
     (let ((n (apply min (map vector-length vs))))
       (let loop ((i 0))
         (when (< i n)
           (apply f (map (lambda (v) (vector-ref v i)) vs))
           (loop (+ i 1))))))))
