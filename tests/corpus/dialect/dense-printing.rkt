(struct pt (x y) #:transparent)
(struct op (a))
(define vals (list 1 "s" #\c 'sym '(1 "two" #\3 (four)) (vector 1 "a" 'b) (cons 1 2) '(1 . (2 . 3)) (list) #t #f (void) (pt 1 "x") (op 1) (list (pt 1 2)) (box 'b) (hash 'a '(1)) (list 'quote 'a) ''a '`(a ,b) (list "nested" (list "deep" #\x)) (string->symbol "with space") '|| 1.5 1/2 "esc\"aped\n" (list #t 'sym) (cons 'a (list 1)) (vector (list 1)) (list (vector 1)) (list (void)) (hash "k" (list "v")) (set 'a) car))
(for ([v vals]) (display v) (display " | ") (write v) (display " | ") (print v) (newline))
