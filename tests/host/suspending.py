"""Programs that wait for calls in places where a C stack would be in the way."""

SUSPENDING = {
    "map": '(map (lambda (x) (syntax-e (llm-query #:instruction x))) (list "a" "b" "c"))',
    "sort": '(sort (list 3 1 2) (lambda (a b) (llm-query #:instruction "cmp") (< a b)))',
    "hash update": (
        '(define h (make-hash)) (hash-update! h "k" (lambda (old) (cons (syntax-e (llm-query #:instruction "u")) old))'
        ' (lambda () \'())) (hash-ref h "k")'
    ),
    "dynamic-wind": (
        "(define log (list)) (define (say x) (set! log (cons x log))) (dynamic-wind"
        ' (lambda () (llm-query #:instruction "in") (say 1)) (lambda () (llm-query #:instruction "body") (say 2))'
        ' (lambda () (llm-query #:instruction "out") (say 3))) (reverse log)'
    ),
    "nested map-async": (
        "(map-async (lambda (i) (apply string-append (map-async (lambda (j) (llm-query-async"
        ' #:instruction (format "~a~a" i j))) (list 1 2)))) (list "x" "y"))'
    ),
    "guard": (
        '(guard (e (#t (list \'caught (syntax-e (llm-query #:instruction "handler")))))'
        ' (llm-query #:instruction "body") (raise \'oops))'
    ),
    "call/cc re-entry": (
        "(define k #f) (define n 0) (define v (call/cc (lambda (c) (set! k c) 0)))"
        " (llm-query #:instruction (number->string v)) (set! n (+ n 1)) (if (< n 3) (k n) (list v n))"
    ),
    "a loop made by a macro": (
        "(define-syntax times (syntax-rules () ((_ n e) (let loop ((i 0) (acc '()))"
        " (if (= i n) (reverse acc) (loop (+ i 1) (cons e acc)))))))"
        ' (times 3 (syntax-e (llm-query #:instruction "t")))'
    ),
    "a macro's transformer": (
        "(define-syntax ask (er-macro-transformer (lambda (form rename compare)"
        ' (syntax-e (llm-query #:instruction "expand"))))) (string-append (ask) "!")'
    ),
    "string port": (
        '(with-output-to-string (lambda () (display (syntax-e (llm-query #:instruction "p")))'
        ' (llm-query #:instruction "q") (display 1/3)))'
    ),
    "generator of promises": (
        '(define p (delay (syntax-e (llm-query #:instruction "lazy")))) (list (force p) (force p))'
    ),
    "parameterize": (
        '(define x (make-parameter 1)) (parameterize ((x 2)) (llm-query #:instruction "p")'
        ' (let ((h (spawn (lambda () (llm-query #:instruction "f") (x))))) (list (x) (await h))))'
    ),
}
