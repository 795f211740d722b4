"""Racket's collections, encodings, generics and modules, as data programs use them: what Racket 8.7 prints."""

from __future__ import annotations

import pytest

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

COLLECTIONS: Cases = [
    ("a queue", "(define q (make-queue)) (enqueue! q 1) (enqueue! q 2) (enqueue-front! q 0) (dequeue! q) (queue->list q) (queue-length q) (queue-empty? q) (for/list ([x (in-queue q)]) x) q", "0\n'(1 2)\n2\n#f\n'(1 2)\n#<queue>\n"),
    ("a vector that grows", "(define g (make-gvector)) (gvector-add! g 1 2 3) (gvector-insert! g 0 'z) (gvector-remove! g 1) g (gvector-ref g 9 'no) (gvector-count g) (gvector-remove-last! g) (for/list ([x g]) x) (equal? g (gvector 'z 2))", "(gvector 'z 2 3)\n'no\n3\n3\n'(z 2)\n#t\n"),
    ("sets that are lists come out as Racket puts them together", "(set-union '(1 2) '(2 3)) (set-intersect '(1 2 3) '(2 3)) (set-subtract '(4 3 2 1) '(2)) (set-symmetric-difference '(1 2 3) '(3 4))", "'(3 1 2)\n'(3 2)\n'(1 3 4)\n'(4 1 2)\n"),
    ("a structure that is a stream", "(struct down (n) #:methods gen:stream [(define (stream-empty? s) (zero? (down-n s))) (define (stream-first s) (down-n s)) (define (stream-rest s) (down (sub1 (down-n s))))]) (for/list ([x (down 3)]) x) (stream->list (stream-map add1 (down 2))) (stream? (down 0))", "'(3 2 1)\n'(3 2)\n#t\n"),
    ("generics with defaults", "(define-generics shown (show shown) (size shown) #:defaults ([number? (define (show n) 'n)] [string? (define (show s) 's) (define (size s) (string-length s))]) #:fallbacks [(define (size x) 0)]) (struct own (x) #:methods gen:shown [(define (show o) 'own)]) (list (show 1) (show \"ab\") (show (own 1)) (size 1) (size \"ab\") (size (own 1)) (shown? 1) (shown? 'x))", "'(n s own 0 2 0 #t #f)\n"),
    ("opaque fields", "(struct a (x y)) (struct b a (z) #:transparent) (struct->vector (b 1 2 3)) (struct->list (b 1 2 3) #:on-opaque 'return-false)", "'#(struct:b ... 3)\n#f\n"),
    ("a prefab structure in a quasi-pattern", "(match '#s(pt 1 (2 3)) [`#s(pt ,x (,y ,_)) (list x y)]) (match '#s(other 1 2) [`#s(pt ,x ,y) x] [_ 'none])", "'(1 2)\n'none\n"),
    ("arities that say one thing", "(procedure-arity (case-lambda [(x) 1] [(x y) 2] [(x . r) 3])) (procedure-arity (case-lambda [() 0] [(x y) 2] [(x y z . r) 3]))", "(arity-at-least 1)\n(list 0 (arity-at-least 2))\n"),
    ("a type that is made by a procedure", "(define-values (struct:node make-node node? node-ref node-set!) (make-struct-type 'node #f 2 1 'auto)) (define n (make-node 1 2)) (node-set! n 1 'x) (list (node-ref n 0) (node-ref n 1) (node-ref n 2) (node? n) (node? 5) ((make-struct-field-accessor node-ref 0 'left) n)) n", "'(1 x auto #t #f 1)\n#<node>\n"),
    ("keywords come in their order", "((make-keyword-procedure (lambda (kws vals . args) (list kws vals args))) #:x 1 'y #:a 2)", "'((#:a #:x) (2 1) (y))\n"),
    ("the class that a method's object is of", "(define p% (class object% (init-field x) (super-new) (define/public (twin) (new this% [x (* 2 x)])))) (define q% (class p% (super-new))) (define t (send (new q% [x 4]) twin)) (get-field x t) (is-a? t q%)", "8\n#t\n"),
]  # fmt: skip

ENCODINGS: Cases = [
    ("what may stand in an address", "(uri-encode \"a b&c/é~'\") (uri-decode \"a+b%20%C3%A9%zz%\") (form-urlencoded-encode \"a b*~é\") (form-urlencoded-decode \"a+b%zz\")", "\"a%20b%26c%2F%C3%A9~'\"\n\"a+b é%zz%\"\n\"a+b*%7E%C3%A9\"\n\"a b%zz\"\n"),
    ("tables of a form", "(form-urlencoded->alist \"a=1&b=2;c&d=\") (alist->form-urlencoded '((a . \"x y\") (b . #f)))", "'((a . \"1\") (b . \"2\") (c . #f) (d . \"\"))\n\"a=x+y&b\"\n"),
    ("base64", '(base64-encode #"abc") (base64-encode #"any carnal pleas" #"") (base64-decode #"YW Jj\\r\\nZA==zz") (bytes-length (base64-encode (make-bytes 60 65)))', '#"YWJj\\r\\n"\n#"YW55IGNhcm5hbCBwbGVhcw=="\n#"abcd"\n84\n'),
    ("a document as an expression", "(xexpr->string '(p ((class \"a\\\"<\")) \"a < & \" (br) nbsp 955 (b \"x\")))", '"<p class=\\"a&quot;&lt;\\">a &lt; &amp; <br/>&nbsp;&#955;<b>x</b></p>"\n'),
    ("an expression of a document", "(string->xexpr \"<p class='x' id=\\\"y\\\">a <b>c</b> &amp; d<br/><!-- c --> &#65;</p>\")", "'(p ((class \"x\") (id \"y\")) \"a \" (b () \"c\") \" \" \"&\" \" d\" (br ()) \" \" 65)\n"),
    ("floats in bytes", "(real->floating-point-bytes 1.5 8 #t) (floating-point-bytes->real (bytes 63 248 0 0 0 0 0 0) #t) (real->floating-point-bytes 1.5 4 #f)", '#"?\\370\\0\\0\\0\\0\\0\\0"\n1.5\n#"\\0\\0\\300?"\n'),
    ("large floats and complex numbers", "(list 1e13 1e14 1e21 1234567890123456789.0 123456789012345678901.0 5e-324 1e-5 (sqrt -4) (make-rectangular 1 -1))", "'(10000000000000.0 1e+14 1e+21 1234567890123456800.0 1.2345678901234568e+20 5e-324 1e-5 0+2i 1-1i)\n"),
    ("halves of floats are rounded as Racket rounds them", "(list (~r 0.35 #:precision 1) (~r 0.615 #:precision 2) (~r 1.15 #:precision 1) (~r 0.15 #:precision '(= 1)) (~r 123456.789 #:precision 17) (real->decimal-string 0.35 1) (~r 7/20 #:precision 1))", '\'("0.4" "0.62" "1.1" "0.2" "123456.78900000000430736" "0.3" "0.4")\n'),
    ("how many characters were written", '(list (write-string "abc") (write-string "abc" (current-output-port) 1))', "abcbc'(3 2)\n"),
    ("forms have a layout of their own", "(pretty-write '(define (process-all items) (let ([total (apply + items)] [count (length items)]) (if (zero? count) 'nothing (/ total count)))))", "(define (process-all items)\n  (let ((total (apply + items)) (count (length items)))\n    (if (zero? count) 'nothing (/ total count))))\n"),
]  # fmt: skip

MODULES: Cases = [
    ("names of a submodule, with a prefix and renamed", "(module geo racket (provide area (rename-out [per perimeter])) (define (area w h) (* w h)) (define (per w h) (* 2 (+ w h)))) (require (prefix-in g: 'geo)) (g:area 2 3) (g:perimeter 2 3) (perimeter 1 1)", "6\n10\n4\n"),
    ("one name of a submodule", "(module m racket (provide f) (define (f) 'f)) (require (only-in 'm [f theirs])) (theirs)", "'f\n"),
    ("optional parts of a macro", "(define-syntax (inc! stx) (syntax-parse stx [(_ x:id (~optional n:expr #:defaults ([n #'1]))) #'(set! x (+ x n))])) (define z 1) (inc! z) (inc! z 10) z", "12\n"),
    ("alternatives and sequences in a macro", "(define-syntax (m stx) (syntax-parse stx [(_ (~or a:id a:str) (~optional (~seq #:times n:nat) #:defaults ([n #'2]))) #'(list 'a n)])) (m x) (m \"s\" #:times 3)", "'(x 2)\n'(\"s\" 3)\n"),
    ("at least one", "(define-syntax (all stx) (syntax-parse stx [(_ e:expr ...+) #'(list e ...)] [(_) #''none])) (all 1 2) (all)", "'(1 2)\n'none\n"),
    ("a thread sets parameters for itself", "(define p (make-parameter 1)) (thread-wait (thread (lambda () (p 2) (println (p))))) (p) (parameterize ([p 5]) (thread-wait (thread (lambda () (println (p)) (p 6)))) (p))", "2\n1\n5\n5\n"),
    ("a thread's cells", "(define c (make-thread-cell 0)) (thread-cell-set! c 1) (thread-wait (thread (lambda () (println (thread-cell-ref c)) (thread-cell-set! c 9)))) (thread-cell-ref c) (define d (make-thread-cell 0 #t)) (thread-cell-set! d 1) (thread-wait (thread (lambda () (println (thread-cell-ref d)) (thread-cell-set! d 9)))) (thread-cell-ref d)", "0\n1\n1\n1\n"),
    ("promises of every kind are forced once", '(define p (delay/sync (display "once ") 7)) (+ (force p) (force p))', "once 14\n"),
]  # fmt: skip


@cases(COLLECTIONS)
async def test_a_collection_is_rackets(program: str, printed: str) -> None:
    """Queues, growing vectors, sets, generics, structures."""
    await prints(program, printed)


@cases(ENCODINGS)
async def test_text_for_other_programs_is_rackets(program: str, printed: str) -> None:
    """Addresses, base64, XML, numbers, forms."""
    await prints(program, printed)


@cases(MODULES)
async def test_modules_macros_and_threads_keep_to_themselves_as_in_racket(program: str, printed: str) -> None:
    """What is renamed, what is optional, what a thread sets."""
    await prints(program, printed)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("(dequeue! (make-queue))", "dequeue!: contract violation\n  expected: non-empty-queue?"),
        ("(enqueue! '(1) 2)", "enqueue!: contract violation\n  expected: queue?"),
        ("(gvector-ref (gvector 1 2) 2)", "gvector-ref: index is out of range\n  index: 2\n  valid range: [0, 1]"),
        ("(gvector-remove-last! (gvector))", "gvector-remove-last!: index is out of range for empty gvector"),
        ("(uri-encode 5)", "uri-encode: contract violation\n  expected: string?"),
        ('(base64-decode "YQ==")', "base64-decode: contract violation\n  expected: bytes?"),
        ("(xexpr->string '(1 2))", "xexpr->string: contract violation\n  expected: xexpr?"),
        ('(string->xexpr "<a><b></a>")', "string->xexpr: </a> closes <b> at position 9"),
        ('(string->xexpr "<a>")', "string->xexpr: no </a> at position 3"),
        ('(string->xexpr "plain")', "string->xexpr: expected < at position 0"),
        ("(floating-point-bytes->real (bytes 1 2))", "length is not 4 or 8 bytes"),
        ("(struct a (x)) (struct->list (a 1))", "struct->list: contract violation"),
        ("(split-at '(1 2) 5)", "split-at: contract violation\n  expected: a list with at least 5 elements\n  given: '(1 2)"),
        ("(group-by even? 5)", "group-by: contract violation\n  expected: list?\n  given: 5\n  argument position: 2nd"),
        ("(vector-map add1 5)", "vector-map: contract violation\n  expected: vector?\n  given: 5"),
        ('(exact->inexact "x")', "exact->inexact: contract violation"),
        ("(map car)", "map: arity mismatch;\n the expected number of arguments does not match the given number\n  expected: at least 2\n  given: 1"),
        ("(define-generics g (m g) #:defaults ([number? (define (m n) n)])) (m 'x)", "m: contract violation\n  expected: g?"),
        ("(module m racket (define (f) 1)) (require (only-in 'm [g h])) (h)", "unbound variable: g"),
        ("(define-syntax (m stx) (syntax-parse stx [(_ e ...+) #'1])) (m)", "m: bad syntax"),
    ],
)  # fmt: skip
async def test_what_they_cannot_take_is_named(program: str, message: str) -> None:
    """In Racket's words, or near them."""
    result = await ran(program)
    assert result.error is not None
    assert message in result.error.message


async def test_a_continuation_ends_with_its_form_where_a_program_is_a_module() -> None:
    """As in Racket; in another program it goes on to the end, as at Scheme's top level."""
    program = "(define k #f) (define n 0) (+ 100 (call/cc (lambda (c) (set! k c) 1))) (set! n (add1 n)) (let () (when (< n 3) (k n)) (println 'unreached)) n"
    module = await ran("#lang racket\n" + program)
    assert module.stdout == "101\n101\n1\n"
    plain = await ran(program)
    assert (plain.stdout, plain.value) == ("'unreached\n", "3")
