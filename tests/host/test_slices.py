"""No call of a procedure keeps the event loop: whatever its arguments, it is done in slices.

Measured in fuel, which is exact: see benchmarks/loop_gap.py, whose list of calls this is. It is made from
the reference and the core's own tables, so a new procedure is measured from its first day.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Runtime
from rlm_wasm.errors import InstanceLost
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.protocol import Done, GuestStatus
from rlm_wasm.sandbox.sandbox import Sandbox

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import loop_gap

SMALL = loop_gap.Sizes.scaled(0.02)
LARGE = loop_gap.Sizes.scaled(0.08)
ENOUGH = 2 * loop_gap.BOUND
"""So much fuel of a call is looked at: the long slices of a call come first, or it is a loop of the same."""


IN_ONE_GO = {"regexp of many letters", "long code in a loop"}
"""A pattern is compiled in one go; what it may be is bounded by its size (pattern is too large). Long code has a
test of its own below: it may take three times the bound, whatever its length."""


def _groups(sizes: loop_gap.Sizes) -> dict[str, list[loop_gap.Case]]:
    """The calls by the values that they need, so that those are made once."""
    groups: dict[str, list[loop_gap.Case]] = {}
    for case in loop_gap.cases(sizes)[0]:
        groups.setdefault(" ".join(case.needs) or "nothing", []).append(case)
    return groups


@pytest.mark.parametrize("needs", sorted(_groups(SMALL)))
def test_no_call_outgrows_its_slice(needs: str) -> None:
    """At a size, and at four times that: the longest slice stays within the bound."""
    too_long: list[tuple[str, float]] = []
    for sizes in (SMALL, LARGE):
        bench = loop_gap.Bench(sizes)
        for case in _groups(sizes)[needs]:
            measured = bench.measure(case, max_fuel=ENOUGH)
            if measured.fuel > loop_gap.BOUND and case.name not in IN_ONE_GO:
                too_long.append((case.name, measured.fuel / 1e6))
    assert not too_long


def test_the_list_has_every_procedure_that_takes_something_large() -> None:
    """Calls are made of the signatures: the ones that are attacked first are among them."""
    names = {case.name.split()[0].lstrip("(") for case in loop_gap.cases(SMALL)[0]}
    assert len(names) > 500
    assert names >= {
        "string-normalize-nfc", "string-upcase", "string-split", "string->list", "append", "reverse", "quotient", "expt",
        "number->string", "string->number", "sort", "equal?", "hash-copy", "list->vector", "regexp-match", "jsexpr->string",
        "string->jsexpr", "string->utf8", "flatten", "vector-map",
    }  # fmt: skip


ATTACKS = {
    "a match of a thousand clauses": (
        "",
        "(eval `(match 5 ,@(map (lambda (i) `((list ,i a ... b) 1)) (range 1000)) (_ 2)))",
    ),
    "a macro that renames thousands of names": (
        "",
        "(define-syntax s (er-macro-transformer (lambda (form rename same?)"
        " (for ([i 20000]) (rename (string->symbol (number->string i)))) 1))) (eval '(s))",
    ),
    "closures around closures": (
        "",
        "(define-syntax s (sc-macro-transformer (lambda (form env)"
        " (define deep (let loop ((i 0) (x 'car)) (if (= i 100000) x (loop (+ i 1) (guard (e (#t x)) (close-syntax x env))))))"
        " (for ([i 100000]) (identifier? deep)) (list 'quote (make-list 20000 deep))))) (eval '(s))",
    ),
    "closures around forms, with free names": (
        "",
        "(define-syntax s (sc-macro-transformer (lambda (form env) (let loop ((i 0) (x '(car '(1)))) (if (= i 100000) x"
        " (loop (+ i 1) (guard (e (#t x)) (make-syntactic-closure env '(a b c) x)))))))) (for ([i 20]) (eval '(s)))",
    ),
    "thousands of free names": (
        "",
        """(define names (map (lambda (i) (string->symbol (format "n~a" i))) (range 20000)))
        (define-syntax s (sc-macro-transformer (lambda (form env) (guard (e (#t 1)) (make-syntactic-closure env names (cons 'list names))))))
        (eval '(s))""",
    ),
    "normalising four million characters": ("accents", "(string-normalize-nfc accents)"),
    "ordering marks that were written to be slow": ("marks", "(string-normalize-nfd marks)"),
    "capitals of four million characters": ("accents", "(string-upcase accents)"),
    "small letters of a word of sigmas": ("sigmas", "(string-downcase sigmas)"),
    "titles of four million characters": ("text", "(string-titlecase text)"),
    "comparing four million characters without case": (
        "accents",
        "(string-ci=? accents (string-copy accents))",
    ),
    "splitting four million characters": ("text", "(string-split text)"),
    "quoting four million characters": ("text", "(regexp-quote text)"),
    "searching backwards for what is nearly everywhere": (
        "ascii",
        '(string-search-backward (string-append "aa" (make-string 100000 #\\a) "b") ascii 1000000)',
    ),
    "looking for a character that is not there": ("text", "(string-index text (lambda (c) #f))"),
    "writing four million characters": ("text", '(string-length (format "~s" text))'),
    "JSON of four million characters": ("text", "(string->jsexpr (jsexpr->string text))"),
    "JSON of a list of two million numbers": ("numbers", "(jsexpr->string numbers)"),
    "dividing numbers of megabits": ("big bigger", "(quotient bigger big)"),
    "multiplying numbers of megabits": ("big bigger", "(* big big)"),
    "the root of a number of megabits": ("bigger", "(integer-sqrt bigger)"),
    "the digits of a number of megabits": ("big", "(number->string big)"),
    "a number of half a million digits": ("digits", "(string->number digits)"),
    "compiling two hundred thousand nested calls": (
        "",
        "(eval (let loop ((i 200000) (e 1)) (if (= i 0) e (loop (- i 1) (list '- e)))))",
    ),
    "compiling a call of a million arguments": ("numbers", "(eval (cons 'list numbers))"),
    "appending a million items": ("numbers", "(append numbers numbers)"),
    "reversing a million items": ("numbers", "(reverse numbers)"),
    "four million characters in a list": ("ascii", "(string->list ascii)"),
    "the SHA-256 of four million characters": ("text", "(sha256 text)"),
    "a key made of four million characters": ("text", "(content-key text)"),
    "printing four million characters": ("accents", "(write-string accents)"),
    "a value of four million characters": ("accents", "(vector accents)"),
    "a byte port of four million characters": (
        "accents",
        "(let ((p (open-output-bytes))) (write-string accents p) (bytes-length (get-output-bytes p)))",
    ),
    "writing a vector of a million numbers": ("vector", '(string-length (format "~s" vector*))'),
    "writing a table of many entries": ("table", '(string-length (format "~s" table*))'),
    "a text of four million characters that is no number": ("text", "(string->number text)"),
    "the bits of a number of megabits": ("big", "(string-length (number->string big 2))"),
    "looking for a character beyond ASCII": ("accents", "(string-index accents #\\z)"),
    "looking for a text that is not there": ("accents", '(string-contains accents "zz")'),
    "coming back from a million calls": ("", "(let loop ((i 2000000)) (if (= i 0) 0 (+ 1 (loop (- i 1)))))"),
    "a table that grows to a million": (
        "",
        "(let ((t (make-hasheq))) (let loop ((i 1000000)) (if (> i 0) (begin (hash-set! t i i) (loop (- i 1))))))",
    ),
    "a table of what moves": (
        "lists",
        "(let ((t (make-hasheq))) (for-each (lambda (l) (hash-set! t l (iota 40))) lists) (hash-count t))",
    ),
    "copies of a table": ("frozen", "(hash-count (hash-copy frozen)) (length (hash->list frozen))"),
}


@pytest.fixture(scope="module")
def bench() -> loop_gap.Bench:
    """At the size of the attacks."""
    return loop_gap.Bench(loop_gap.Sizes.scaled(1.0))


PIECES = {
    "accents": [
        "(string-copy accents)", "(string-append accents ascii)", "(string-append* accents (list ascii accents))",
        "(string-join (list accents ascii) accents)", "(string-pad accents 5000000)", "(string-trim accents \"zz\")",
        "(string-fill! ascii #\\x1f642)", "(string-copy! ascii 1 accents 0 3000000)", "(string=? accents (string-copy accents))",
        "(equal? (list accents) (list (string-copy accents)))", "(string->uninterned-symbol accents)",
        "(open-input-string accents)", "(let ((p (open-output-string))) (write-string accents p) (get-output-string p))",
        "(let ((p (open-output-bytes))) (write-string accents p) (get-output-bytes p) (get-output-string p))",
        "(let ((p (open-output-string))) (write-string accents p) (get-output-bytes p))", "(write-string accents)",
        "(string-index accents #\\z)", "(string-replace accents \"zz\" accents)", "(string->immutable-string (string-copy accents))",
        '(regexp-split "zz" accents)', '(regexp-match #px"^((((((((.*))))))))$" accents)', '(regexp-match* #px".*" accents)',
        "(symbol-append (string->symbol accents) 'a (string->symbol ascii) (string->symbol (string-append accents ascii)))", "(list->string (string->list accents))",
    ],
    "bytes": [
        "(bytes-append bytes* bytes*)", "(bytes->hex-string bytes*)", "(bytevector-copy bytes*)", "(bytevector-fill! bytes* 7)", "(equal? bytes* (bytes-copy bytes*))",
        "(open-input-bytes bytes*)", "(bytes=? bytes* (bytes-copy bytes*))",
    ],
    "vector": [
        "(vector-copy vector*)", "(vector-append vector* vector*)", "(vector-grow vector* 2000000)", "(vector-copy! vector* 1 vector* 0 999999)",
        "(vector-take vector* 999999)",
    ],
    "numbers": [
        "(sort numbers <)", "(let ((t (make-hasheqv))) (for-each (lambda (n) (hash-set! t n n)) numbers) (hash-count t))", "(vector numbers)",
        "(eval (cons 'cond (map (lambda (i) (list #f i)) numbers)))", "(eval (cons* 'case 1 (map (lambda (i) (list (list i) i)) numbers)))",
        "(eval (list 'quote numbers))", "(eval (list 'quasiquote numbers))", "(display numbers)", "(write (list numbers numbers))",
        "(list->bytes (map (lambda (i) 7) numbers))", "(list->u32vector numbers)", "(append! (list-copy numbers) (list-copy numbers) (list 1))",
        "(apply < numbers)", "(apply max numbers)", "(llm-query #:instruction \"x\" #:data (number->string (length numbers)))",
    ],
    "lists": ["(car (vector lists))", "(equal? lists (map list-copy lists))", "(eval (list 'quasiquote lists))"],
    "text": [
        "(let ((p (open-input-string text))) (read-string 3900000 p) (list (port-line p) (port-column p)))", "(length (port->lines (open-input-string text)))",
        "(sort (list text (string-append text \"a\") (string-append text \"b\")) string<?)",
    ],
    "big": [
        "(string-length (number->string big 2))", "(bit-field big 0 1999999)", "(bitwise-and big (- big 7))", "(* big big)", "(- big)",
    ],
    "ratio": [
        "(< ratio (+ ratio 1/3))", "(= ratio (+ ratio 1))", "(sort (list (+ ratio 1/3) ratio) <)", "(max ratio (- ratio 1/7))",
    ],
    "": [
        "(eval (cons 'begin (map list (make-list 20000 '-) (iota 20000))))", "(eval (cons 'list (iota 11000)))",
        "(string->number (string-append (make-string 3000000 #\\0) \"12\"))", "(string->number (make-string 4000000 #\\1) 2)",
        "(read (open-input-string (string-append (make-string 3000000 #\\0) \"12\")))",
        "(read-line (open-input-string (make-string 3000000 #\\a)) 'any)",
        "(number->string (/ (expt 3 300000) (expt 2 300000)))",
        "(read (open-input-string (make-string 3000000 #\\;)))", "(read (open-input-string (make-string 3000000 #\\space)))",
        "(read (open-input-string (string-append \"#|\" (make-string 3000000 #\\newline) \"|# 7\")))",
        "(read (open-input-string (string-append \"(\" (make-string 3000000 #\\newline) \"]\")))",
        "(read (open-input-string (format \"~s\" (make-string 3000000 #\\a))))", "(read (open-input-string (format \"#~s\" (make-string 3000000 #\\a))))",
        "(read (open-input-string (make-string 3000000 #\\a)))", "(string->jsexpr (make-string 3000000 #\\space))",
        "(string->jsexpr (string-append \"[\" (make-string 3000000 #\\newline) \"1 2\"))", "(string->jsexpr (string-append \"[1]\" (make-string 3000000 #\\space) \"2\"))",
        "(list->vector (iota 2500000))", "(list->set (iota 1500000))", "(hash-copy (make-hash (map (lambda (i) (cons i i)) (iota 1500000))))",
        "(apply append (make-list 100000 '(1)))", "(error \"a\" (iota 2500000))", "(vector-ref (iota 2500000) 0)",
        "(string->jsexpr (make-string 3000000 #\\a) #:lenient? #t)", "(string->jsexpr (string-append (make-string 3000000 #\\space) \"{}\") #:lenient? #t)",
    ],
    "ascii": ["(regexp-match #px\"a*b\" ascii)", "(regexp-match #px\"^(?:a|b)*c\" ascii)"],
    "digits": [
        "(string->number (string-append digits \".\" digits \"e5\"))", "(string->number (string-append digits digits \"!\"))",
    ],
    "nested": ["(vector nested)", "(equal? nested (list-copy nested))"],
}  # fmt: skip


@pytest.mark.parametrize("needs", PIECES)
def test_no_piece_of_work_outgrows_its_bound(needs: str) -> None:
    """In slices of 2,000 steps, which ordinary code fills with a million: what is longer is one piece of work."""
    bench = loop_gap.Bench(loop_gap.Sizes.scaled(1.0), steps=2_000)
    values = ("ascii", "accents") if needs == "accents" else tuple(needs.split())
    too_long = []
    for program in PIECES[needs]:
        case = loop_gap.Case(program, values, f"(call-with-values (lambda () {program}) void)")
        measured = bench.measure(case, max_fuel=1_500_000_000)
        if measured.fuel > loop_gap.ATOM_BOUND:
            too_long.append((program, measured.fuel / 1e6))
    assert not too_long


LARGE_FORMS = {
    "a cond": ("(eval `(cond ,@(map (lambda (i) (list #f i)) (iota 5000)) (7 => -)))", "-7"),
    "a cond without a true test": (
        "(eval `(list (cond ,@(map (lambda (i) (list #f i)) (iota 5000)))))",
        "(#<void>)",
    ),
    "a case": (
        "(eval `(case 4321 ,@(map (lambda (i) `((,i) (list ,i))) (iota 5000)) (else 'none)))",
        "(4321)",
    ),
    "a case of none": (
        "(eval `(case 'x ,@(map (lambda (i) `((,i) (list ,i))) (iota 5000)) (else => list)))",
        "(x)",
    ),
    "a quotation": ("(let ((l (iota 30000))) (eq? l (eval (list 'quote l))))", "#t"),
    "a template": ("(let ((l (map list (iota 30000)))) (eq? l (eval (list 'quasiquote l))))", "#t"),
    "a template's last part": (
        "(let ((l (eval (list 'quasiquote (list (iota 30000) (list 'unquote '(+ 1 2))))))) (list (length (car l)) (cadr l)))",
        "(30000 3)",
    ),
    "a template of several parts": (
        "(let ((l (eval (list 'quasiquote (append (iota 32768) '((unquote (+ 1 2)) 4 (unquote-splicing (list 5 6))) (iota 40000) '(unquote (list 7)))))))"
        " (list (length l) (list-ref l 32767) (list-ref l 32768) (list-ref l 32771) (list-ref l 72770) (last l)))",
        "(72773 32767 3 6 39998 7)",
    ),
    "a number's text": (
        '(let ((n (expt 7 40000))) (list (= n (string->number (number->string n))) (string->number (string-append (number->string n) "!"))))',
        "(#t #f)",
    ),
    "a fraction's text": (
        "(let ((r (/ (expt 7 30000) (expt 2 80000)))) (= r (string->number (number->string r))))",
        "#t",
    ),
    "a decimal's text": (
        '(list (string->number (string-append (make-string 200000 #\\3) "." (make-string 9 #\\1) "e-200000")) (string->number (string-append (make-string 70000 #\\0) "12")))',
        "(0.3333333333333333 12)",
    ),
    "a number's text in other radices": (
        "(let ((n (- (expt 7 60000)))) (map (lambda (r) (= n (string->number (number->string n r) r))) '(2 3 8 16 32 36)))",
        "(#t #t #t #t #t #t)",
    ),
    "a text of zeros": (
        '(list (string->number (string-append (make-string 70000 #\\0) "." (make-string 70000 #\\0) "5e70001"))'
        ' (string->number (string-append "#e1." (make-string 70000 #\\0))) (string->number (string-append "1e" (make-string 70000 #\\0) "2")))',
        "(5.0 1 100.0)",
    ),
    "products and divisions of long numbers": (
        "(let* ((a (expt 3 300000)) (b (- (expt 7 90000) 5)) (c (* a b)))"
        " (list (= (quotient c b) a) (= (remainder (+ c 12) b) 12) (= (- c) (* -1 c)) (= (* a a) (expt 3 600000))"
        " (= (bitwise-xor (bitwise-and a b) (bitwise-ior a b)) (bitwise-xor a b)) (< (/ b a) (/ (+ b 1) a)) (max (/ b a) 1/2)))",
        "(#t #t #t #t #t #t 1/2)",
    ),
    "ratios in order": (
        "(let ((r (/ (expt 3 40000) (expt 2 40000)))) (let ((l (sort (list (+ r 2) r (+ r 1)) <)))"
        " (list (- (cadr l) (car l)) (- (caddr l) (cadr l)) (length (range (/ 1 (expt 3 2000)) 3 (+ 1 (/ 1 (expt 2 2000))))) (length (iota 3 r (/ r 7))) (< r (+ r 1) (+ r 2)))))",
        "(1 1 3 3 #t)",
    ),
    "long texts in order": (
        '(let ((t (make-string 200000 #\\a))) (map string-length (sort (list (string-append t "bb") (string-append t "a") t) string<?)))',
        "(200000 200001 200002)",
    ),
    "lines": (
        '(let ((t (string-append (make-string 140000 #\\a) "\\r\\n" (make-string 140000 #\\b) "\\nc")))'
        " (define p (open-input-string t)) (define first (read-line p 'any))"
        " (list (string-length first) (port-line p) (string-length (read-line p)) (port-line p) (map string-length (port->lines (open-input-string t)))))",
        "(140000 2 140000 3 (140000 140000 1))",
    ),
    "a port's text as bytes": (
        '(let ((o (open-output-string)) (b (open-output-bytes)) (t (string-append* (make-list 30000 "a\\xe9;\\x1f642;"))))'
        " (write-string t o) (write-string t b)"
        " (list (equal? (get-output-bytes o) (get-output-bytes b)) (equal? (get-output-string b) t) (bytes-length (get-output-bytes b))))",
        "(#t #t 210000)",
    ),
    "literals that are long": (
        '(let* ((t (string-append* (make-list 9000 "a\\\\\\"\\x1f642;\\n\\t"))) (again (lambda (v) (read (open-input-string (format "~s" v))))))'
        ' (list (equal? (again t) t) (bytes-length (read (open-input-string (format "#~s" t))))'
        ' (read (open-input-string (string-append "#| " (make-string 40000 #\\newline) "#| |# |# ;" (make-string 40000 #\\;) "\\n" (make-string 40000 #\\space) " 7")))))',
        "(#t 81000 7)",
    ),
    "places behind what is long": (
        '(map (lambda (t) (with-handlers ([exn:fail:read? exn-message]) (read (open-input-string (string-append t (make-string 40000 #\\newline) t ")"))) "?"))'
        ' \'("" ";a" "#|b\\n|#"))',
        "(unexpected `)`: no bracket is open here; it is in line 40001, column 1 of what is read ? unexpected `)`: no bracket is open here; it is in line 40003, column 3 of what is read)",
    ),
    "JSON behind what is long": (
        "(let ((lax (lambda (t) (string->jsexpr t #:lenient? #t))) (blank (make-string 70000 #\\newline)) (told (lambda (t) (with-handlers ([void exn-message]) (string->jsexpr t)))))"
        ' (list (told (string-append blank "[1," blank "2]" blank)) (lax (string-append blank (make-string 70000 #\\a) "```json\\n[3]\\n```"))'
        ' (lax (string-append (make-string 70000 #\\a) " {\\"a\\": 4} ")) (told (string-append blank "[1 2"))'
        ' (told (string-append "[1]" blank "2"))))',
        "((1 2) (3) #hasheq((a . 4)) bad JSON: expected `,` or `]`, but found `2` at line 70001, column 4: ...                 [1 <here>2 bad JSON: something follows the value at line 70001, column 1: ...                    <here>2)",
    ),
    "a long call": (
        "(let ((l (eval (cons 'list (iota 9000))))) (list (length l) (list-ref l 2047) (list-ref l 2048) (last l)))",
        "(9000 2047 2048 8999)",
    ),
    "a long begin": (
        "(let ((n 0)) (define k (eval (cons 'begin (append (make-list 3000 '(list 1)) '((+ 1 2)))))) (list k (eval '(begin)) (eval '(begin 7))))",
        "(3 #<void> 7)",
    ),
    "a long begin in a body": (
        '(eval `(let () (begin ,@(map (lambda (i) `(define ,(string->symbol (format "v~a" i)) ,i)) (iota 1000))) (list v0 v999)))',
        "(0 999)",
    ),
    "long lists that are looked through": (
        "(let* ((l (iota 20000)) (circle (list 1 2 3)) (deep (append (iota 10000) (list (list 1)))))"
        " (set-cdr! (cddr circle) circle)"
        ' (list (string-length (format "~a" l)) (string-length (format "~s" (list l deep))) (format "~s" circle)'
        " (bytes-length (list->bytes (map (lambda (i) 7) l))) (length (append! (iota 9000) (iota 9000) (list 1)))))",
        "(108891 157789 #0=(1 2 3 . #0#) 20000 18001)",
    ),
    "begin0 and do": (
        "(eval `(list (begin0 5 ,@(make-list 3000 '(list 1))) (do ((i 0 (+ i 1)) (s 0 (+ s i))) ((= i 3) s) ,@(make-list 3000 '(list 1)))))",
        "(5 3)",
    ),
    "a text beyond ASCII": ('(string->number (string-append (make-string 70000 #\\1) "\\x3bb;"))', "#f"),
    "what a macro quotes": (
        "(define-syntax q (syntax-rules () ((_ x ...) '(a (x b) ...)))) (let ((l (eval (cons 'q (iota 10000)))))"
        " (list (length l) (car l) (list-ref l 9000)))",
        "(10001 a (8999 b))",
    ),
}
"""What takes many steps to expand or to read, and its value."""


@pytest.mark.parametrize("steps", [300, 1 << 50])
@pytest.mark.parametrize("name", LARGE_FORMS)
def test_a_large_form_means_the_same_wherever_its_expansion_pauses(name: str, steps: int) -> None:
    """Clauses, quotations, templates and the texts of numbers are gone through in pieces."""
    program, value = LARGE_FORMS[name]
    sandbox = Sandbox(Engine.shared(), 256 << 20)
    message: bytes | None = protocol.evaluate(program, "test.scm", {})
    said, status = [], protocol.GuestStatus.PREEMPTED
    while status == protocol.GuestStatus.PREEMPTED:
        status = sandbox.run(message, steps, 1 << 50)
        said += protocol.messages(sandbox.outbox())
        message = None
    sandbox.close()
    (done,) = [m for m in said if isinstance(m, Done)]
    assert done.error is None
    assert done.value == value


def test_clauses_that_are_no_list_are_told_of() -> None:
    """However many are right before."""
    for ending in ("'x", "l"):
        program = (
            f"(let ((l (make-list 3000 '(#f 1)))) (set-cdr! (last-pair l) {ending}) (eval (cons 'cond l)))"
        )
        sandbox = Sandbox(Engine.shared(), 64 << 20)
        message: bytes | None = protocol.evaluate(program, "test.scm", {})
        while sandbox.run(message, 2_000, 1 << 40) == protocol.GuestStatus.PREEMPTED:
            message = None
        (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
        sandbox.close()
        assert done.error is not None
        assert "cond" in done.error.message


TABLES = """
(define (check t n)
  (let loop ((i 0)) (if (< i n) (begin (if (not (eqv? (hash-ref t i #f) (* 2 i))) (error "lost" i)) (loop (+ i 1))))))
(define t (make-hash))
(let loop ((i 0)) (if (< i 60000) (begin (hash-set! t i (* 2 i)) (loop (+ i 1)))))
(check t 60000)
(define keys (map list (iota 60000)))
(define moving (make-hasheq))
(for-each (lambda (k) (hash-set! moving k (car k)) (make-vector 100 0)) keys)
(for-each (lambda (k) (if (even? (car k)) (hash-remove! moving k))) keys)
(for-each (lambda (k) (if (not (eqv? (hash-ref moving k #f) (and (odd? (car k)) (car k)))) (error "lost" k))) keys)
(define frozen (let loop ((i 0) (t (hash))) (if (= i 60000) t (loop (+ i 1) (hash-set t i (* 2 i))))))
(check (hash-copy frozen) 60000)
(list (hash-count t) (hash-count moving) (length (hash->list frozen)) (length (hash-keys moving)) (equal? t (hash-copy frozen)))
"""


@pytest.mark.parametrize("steps", [50, 5_000, 1 << 50])
def test_a_table_keeps_its_entries_wherever_its_growth_pauses(steps: int) -> None:
    """Growing, copying, and hashing anew what a collection moved are done in pieces."""
    sandbox = Sandbox(Engine.shared(), 256 << 20)
    message: bytes | None = protocol.evaluate(TABLES, "test.scm", {})
    while sandbox.run(message, steps, 1 << 50) == protocol.GuestStatus.PREEMPTED:
        message = None
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    sandbox.close()
    assert done.value == "(60000 30000 60000 30000 #t)"


@pytest.mark.parametrize(
    ("length", "rest"), [(16_383, ""), (16_384, ""), (16_385, "\xe9"), (50_000, "\u20ac\U0001d11e"), (20_480, "")]
)  # fmt: skip
def test_a_long_text_crosses_as_it_is(length: int, rest: str) -> None:
    """It is measured and encoded in pieces, whatever its characters."""
    text = "ab\xdf" * (length // 3) + rest if rest else "a" * length
    sandbox = Sandbox(Engine.shared(), 256 << 20)
    message: bytes | None = protocol.evaluate(f'(list "{text}" 1)', "test.scm", {})
    while sandbox.run(message, 2_000, 1 << 50) == protocol.GuestStatus.PREEMPTED:
        message = None
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    sandbox.close()
    assert done.data is not None
    assert protocol.decode(done.data) == [text, 1]


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_an_attack_is_done_in_slices(attack: str, bench: loop_gap.Bench) -> None:
    """It took seconds in one slice."""
    needs, program = ATTACKS[attack]
    case = loop_gap.Case(attack, tuple(needs.split()), f"(begin {program} (void))")
    measured = bench.measure(case, max_fuel=600_000_000)
    assert measured.fuel <= 2 * loop_gap.BOUND
    assert measured.outcome in ("ok", "cut") or "too many arguments" in measured.outcome


# ---- code is no longer than its slice

IN_A_ROW = {
    "sums": ("", "(set! x (+ 1 i))", 3000),
    "remainders": ("", "(modulo i 3)", 300),
    "products of decimals": ("(define f 1.5)", "(* f f)", 100),
    "products of ratios": ("(define r 2/3)", "(* r r)", 100),
    "products of large numbers": ("(define b (expt 7 60))", "(* b b)", 100),
    "vectors": ("", "(vector i i i i)", 100),
    "strings": ("", '(string-append "abc" "def")', 100),
    "digits": ("", "(number->string i)", 100),
    "numbers from text": ("", '(string->number "1.2345e-300")', 100),
    "look-ups": ("(define h (make-hash))", '(hash-ref h "abc" #f)', 100),
    "a procedure's calls": ("(define (f i) %s)", "(set! x (+ 1 i))", 3000),
}


@pytest.mark.parametrize("name", sorted(IN_A_ROW))
def test_long_code_between_two_calls_is_as_many_steps(name: str) -> None:
    """A turn of a loop, or a call, is one step for what is short only: thousands of operations are more."""
    define, operation, times = IN_A_ROW[name]
    body = operation * times
    if "%s" in define:
        define, body = f"(define x 0) {define % body}", "(f i)"
    program = f"{define} (let loop ((i 0) (x 7)) (if (< i 100000) (begin {body} (loop (+ i 1) x)) x))"
    bench = loop_gap.Bench(SMALL)
    sandbox = bench.sandbox(())
    measured = bench.run(sandbox, program, max_fuel=2_000_000_000)
    sandbox.close()
    assert measured.outcome in ("ok", "cut")
    assert measured.fuel <= 3 * loop_gap.BOUND


def test_code_that_begins_with_its_charge_has_its_places() -> None:
    """An error in long code is where it is."""
    lines = "\n".join(["(set! x (+ x 1))"] * 100 + ["   (car x)"] + ["(set! x (+ x 1))"] * 100)
    sandbox = Sandbox(Engine.shared(), 64 << 20)
    message: bytes | None = protocol.evaluate(f"(define x 0)\n(define (f)\n{lines})\n(f)", "test.scm", {})
    while sandbox.run(message, loop_gap.STEPS, 1 << 40) == protocol.GuestStatus.PREEMPTED:
        message = None
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    assert done.error is not None
    assert (done.error.line, done.error.column) == (103, 4)
    sandbox.close()


# ---- a collection takes as many slices as it needs

HEAPS = {
    "a long list": "(define a (iota 2000000))",
    "pairs that lie far apart": """
        (define n 300000) (define v (make-vector n 0))
        (let loop ((i 0)) (if (< i n) (begin (vector-set! v (modulo (* i 199993) n) (cons i i)) (loop (+ i 1)))))""",
    "thousands of vectors": "(define l (map (lambda (i) (make-vector 300 i)) (iota 12000)))",
    "thousands of large objects": "(define l (map (lambda (i) (make-vector 400 (list i))) (iota 12000)))",
    "one large object": "(define v (make-vector 4000000 (list 1)))",
    "a chain of ephemerons": "(define l (map (lambda (i) (make-ephemeron (list i) i)) (iota 200000)))",
    "a deep recursion": "(let loop ((i 600000)) (if (= i 0) 0 (+ 1 (loop (- i 1)))))",
}
GARBAGE = "(let loop ((i 0)) (if (< i 1500000) (begin (list i i i) (loop (+ i 1))) 'done))"


@pytest.mark.parametrize("heap", sorted(HEAPS))
def test_a_collection_is_done_in_slices(heap: str) -> None:
    """Whatever lives: no slice goes through more than some megabytes of it."""
    sandbox = Sandbox(Engine.shared(), 256 << 20)
    message: bytes | None = protocol.evaluate(f"{HEAPS[heap]} {GARBAGE}", "test.scm", {})
    status, most, before, all_of_it = protocol.GuestStatus.PREEMPTED, 0, 0, 0
    while status == protocol.GuestStatus.PREEMPTED:
        before = loop_gap.collected_bytes(sandbox)
        status = sandbox.run(message, loop_gap.STEPS, 1 << 40)
        message = None
        gone_through = loop_gap.collected_bytes(sandbox) - before
        most, all_of_it = max(most, gone_through), all_of_it + gone_through
    sandbox.close()
    assert status == protocol.GuestStatus.DONE
    assert all_of_it > 10 << 20
    assert most < 8 << 20


def _until_a_collection_pauses(sandbox: Sandbox, program: str) -> None:
    message: bytes | None = protocol.evaluate(program, "test.scm", {})
    in_a_row = 0
    while in_a_row < 3:
        before = loop_gap.collected_bytes(sandbox)
        assert sandbox.run(message, 2000, 1 << 40) == protocol.GuestStatus.PREEMPTED
        sandbox.outbox()
        message = None
        in_a_row = in_a_row + 1 if loop_gap.collected_bytes(sandbox) > before else 0


DOUBLED = f"{GARBAGE} (foldl + 0 (map (lambda (i) (* 2 i)) (list-copy a)))"
SUM = f"(define a (iota 400000)) {DOUBLED}"


def test_a_value_does_not_hang_on_where_a_collection_pauses() -> None:
    """Slices of a few steps, of many, and of all."""
    outcomes = set()
    for steps in (1_000, 3_333, 100_000, 1 << 50):
        sandbox = Sandbox(Engine.shared(), 128 << 20)
        message: bytes | None = protocol.evaluate(SUM, "test.scm", {})
        while sandbox.run(message, steps, 1 << 40) == protocol.GuestStatus.PREEMPTED:
            message = None
        (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
        outcomes.add(done.value)
        sandbox.close()
    assert outcomes == {str(2 * sum(range(400_000)))}


def test_a_message_that_comes_while_a_collection_pauses_is_kept() -> None:
    """A large one, too: it is no garbage of the collection that it came into."""
    sandbox = Sandbox(Engine.shared(), 128 << 20)
    _until_a_collection_pauses(sandbox, SUM)
    message: bytes | None = protocol.replies_of([protocol.encode([99, True, "x" * 100_000])])
    acknowledged = False
    while sandbox.run(message, loop_gap.STEPS, 1 << 40) == protocol.GuestStatus.PREEMPTED:
        message = None
        said = protocol.messages(sandbox.outbox())
        acknowledged |= any(isinstance(m, protocol.Acknowledged) for m in said)
    assert acknowledged
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    assert done.value == str(2 * sum(range(400_000)))
    sandbox.close()


def test_an_interrupt_while_a_collection_pauses_ends_the_execution_after_it() -> None:
    """What was begun to be moved is moved first; what the session defined is still there."""
    sandbox = Sandbox(Engine.shared(), 128 << 20)
    assert _outcome(sandbox, "(define a (iota 400000)) 1") == "1"
    _until_a_collection_pauses(sandbox, DOUBLED)
    message: bytes | None = protocol.INTERRUPT
    while sandbox.run(message, loop_gap.STEPS, 1 << 40) == protocol.GuestStatus.PREEMPTED:
        message = None
    assert any(isinstance(m, Done) for m in protocol.messages(sandbox.outbox()))
    assert _outcome(sandbox, "(foldl + 0 a)") == str(sum(range(400_000)))
    sandbox.close()


def test_a_guest_is_copied_in_the_middle_of_a_collection() -> None:
    """A snapshot holds what is half moved, and both go on."""
    engine = Engine.shared()
    sandbox = Sandbox(engine, 128 << 20)
    _until_a_collection_pauses(sandbox, SUM)
    copy = Sandbox(engine, 128 << 20, sandbox.capture())
    for guest in (sandbox, copy):
        while guest.run(None, loop_gap.STEPS, 1 << 40) == protocol.GuestStatus.PREEMPTED:
            pass
        (done,) = [m for m in protocol.messages(guest.outbox()) if isinstance(m, Done)]
        assert done.value == str(2 * sum(range(400_000)))
        guest.close()


# ---- what is left when the instance is gone


def _run(sandbox: Sandbox, program: str, fuel: int) -> None:
    message: bytes | None = protocol.evaluate(program, "test.scm", {})
    while True:
        sandbox.run(message, loop_gap.STEPS, fuel)
        message = None


def test_a_trap_tells_the_fuel_that_was_used_and_not_the_limit() -> None:
    """An instance whose memory is junk traps and is gone; what its last slice used was read before."""
    sandbox = Sandbox(Engine.shared(), 64 << 20)
    limit = 1 << 40
    sandbox.run(protocol.evaluate("(define x 1)", "test.scm", {}), loop_gap.STEPS, limit)
    instance: Any = sandbox._awake()
    ctypes.memset(instance.base, 0xFF, instance.size)
    with pytest.raises(InstanceLost) as lost:
        sandbox.run(None, loop_gap.STEPS, limit)
    assert lost.value.reason == "trap"
    assert instance.store is None
    assert 0 < sandbox.fuel_used < limit


def test_running_out_of_fuel_has_used_all_of_it() -> None:
    """The hard limit is a trap, too."""
    sandbox = Sandbox(Engine.shared(), 64 << 20)
    with pytest.raises(InstanceLost):
        _run(sandbox, "(let loop () (loop))", 5_000_000)
    assert sandbox.fuel_used == 5_000_000
    sandbox.close()


# ---- memory's edge

EDGE = {
    "json": '(string-length (jsexpr->string (build-list 20000 (lambda (i) "abcdefgh"))))',
    "write": '(string-length (format "~s" (build-list 20000 (lambda (i) "abcdefgh"))))',
    "apply string-append": "(string-length (apply string-append (build-list 3000 (lambda (i) (make-string 200 #\\a)))))",
    "port": '(let ((p (open-output-string))) (for-each (lambda (i) (write-string "abcdefghijk" p)) (iota 20000)) (string-length (get-output-string p)))',
    "hash": "(let ((t (make-hash))) (for-each (lambda (i) (hash-set! t i i)) (iota 12000)) (hash-count t))",
    "list": "(length (map (lambda (i) (list i i)) (iota 12000)))",
    "sort": "(vector-ref (vector-sort (build-vector 15000 (lambda (i) (- i))) <) 0)",
    "digits": "(string-length (number->string (expt 3 100000)))",
    "split": '(length (string-split (string-append* (make-list 10000 "abc "))))',
    "regexp": '(length (regexp-split #px"b+" (string-append* (make-list 10000 "aabb"))))',
    "normalise": "(string-length (string-normalize-nfd (make-string 40000 #\\x1e69)))",
    "eval": "(eval (let loop ((i 2000) (e 1)) (if (= i 0) e (loop (- i 1) (list '- e)))))",
    "a vector": "(vector-length (make-vector 100000 0))",
}


def _outcome(sandbox: Sandbox, program: str) -> str:
    """The value, or the limit's name."""
    message: bytes | None = protocol.evaluate(program, "test.scm", {})
    used = 0
    while True:
        status = sandbox.run(message, loop_gap.STEPS, 1 << 40)
        used += sandbox.fuel_used
        assert used < 4_000_000_000, "memory that is short must not burn fuel"
        message = None
        for item in protocol.messages(sandbox.outbox()):
            if isinstance(item, Done):
                return item.value if item.error is None else str(item.error.kind)
        assert status == protocol.GuestStatus.PREEMPTED


@pytest.mark.parametrize("program", sorted(EDGE))
def test_memory_that_is_short_gives_the_right_value_or_its_own_limit(program: str) -> None:
    """Caps in steps of 40 KiB: no crash, no other limit, and none fails between two that succeed."""
    engine = Engine.shared()
    outcomes: list[str] = []
    for kib in range(0, 2600, 40):
        sandbox = Sandbox(engine, engine.image_size + (kib << 10))
        outcomes.append(_outcome(sandbox, EDGE[program]))
        sandbox.close()
        if len(outcomes) > 6 and len(set(outcomes[-6:])) == 1 and outcomes[-1] != "memory_bytes":
            break
    right = outcomes[-1]
    assert right != "memory_bytes"
    assert set(outcomes) <= {"memory_bytes", right}
    assert outcomes == sorted(outcomes, key=lambda outcome: outcome == right)


@pytest.mark.parametrize(
    "program",
    [
        "(define (f . fs) (if (null? fs) 1 (let ((inner (apply f (cdr fs)))) inner)))",
        "(define (f #:a [a 1] . fs) (list (apply f fs)))",
        "(define (f . fs) (call-with-values (lambda () (apply values fs)) (lambda more (list (apply f more)))))",
        "(define (f . fs) (list (apply (case-lambda ((x) x) (more (apply f more))) fs)))",
    ],
)
def test_arguments_for_which_there_is_no_room_are_the_memory_limit(program: str) -> None:
    """The list of a rest parameter was made without asking for room: the sandbox crashed."""
    engine = Engine.shared()
    for megabytes in (12, 20, 33, 50):
        sandbox = Sandbox(engine, engine.image_size + (megabytes << 20))
        assert _outcome(sandbox, f"{program} (apply f (make-list 200000 1))") == "memory_bytes"
        sandbox.close()


@pytest.mark.parametrize(
    "program",
    ["(make-vector 1000000000)", "(make-vector 4611686018427387903)", "(make-string 4611686018427387903)",
     "(make-list 1000000000)", "(iota 1000000000)", "(make-bytevector 4611686018427387903)",
     "(string-pad \"a\" 4611686018427387903)"],
)  # fmt: skip
def test_what_no_memory_holds_is_the_memory_limit_and_not_an_index(program: str) -> None:
    """However large the number is."""
    engine = Engine.shared()
    sandbox = Sandbox(engine, engine.image_size + (8 << 20))
    outcome = _outcome(sandbox, program)
    sandbox.close()
    assert outcome == "memory_bytes"


# ---- where an error was does not hang on where a slice or a collection fell

ERRORS = {
    "in a deep call": "(define (f n)\n  (if (= n 0)\n      (car 5)\n      (+ 1 (f (- n 1)))))\n(f 4000)",
    "in a callback": "(define l (iota 3000))\n(map (lambda (x)\n  (if (= x 2999) (vector-ref (vector 1) x) (list x x))) l)",
    "an unbound name": "(define (g x) (list x))\n(define (f x)\n  (g (no-such-name x)))\n(f 1)",
    "a raise": "(define (f x)\n  (for ([i 500]) (make-vector 100 i))\n  (raise (list x)))\n(list (f 1))",
    "an error": '(define (f x)\n  (for ([i 500]) (make-vector 100 i))\n  (list (error "no" x)))\n(list (f 1))',
    "a text that cannot be read": "(define a 1)\n(list a\n  (vector 1 2)",
    "a pattern that cannot be compiled": '(define a 1)\n(list a\n  #px"a(")',
    "a syntax error": "(define a 1)\n(let ([x 1] [y])\n  x)",
    "arguments that are too many": "(define (f x) x)\n(define (g)\n  (list (f 1 2)))\n(g)",
}


def _error(program: str, steps: int, memory: int = 256 << 20) -> Any:
    sandbox = Sandbox(Engine.shared(), memory)
    message: bytes | None = protocol.evaluate(program, "test.scm", {})
    while sandbox.run(message, steps, 1 << 50) == protocol.GuestStatus.PREEMPTED:
        message = None
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    sandbox.close()
    return done.error


@pytest.mark.parametrize("name", sorted(ERRORS))
@settings(max_examples=8, deadline=None, derandomize=True)
@given(steps=st.integers(1, 3_000), garbage=st.integers(0, 400_000))
def test_an_error_is_where_it_is_wherever_slices_and_collections_fall(
    name: str, steps: int, garbage: int
) -> None:
    """Place, message, hint and backtrace: the same with slices of a few steps, and with a heap of any fill."""
    filling = f"(define filling (iota {garbage})) "
    expected = _error(filling + ERRORS[name], 1 << 50)
    assert expected is not None
    assert expected.line is not None
    assert _error(filling + ERRORS[name], steps + 40) == expected
    assert _error(f"(define filling (iota {garbage // 2}))  {' ' * (len(str(garbage)) - len(str(garbage // 2)) - 1)}"
                  + ERRORS[name], 100_000).line == expected.line  # fmt: skip


@pytest.mark.parametrize(
    ("program", "line", "column"),
    [
        ('#px"("', 1, 1),
        ('(list 1\n #rx"[")', 2, 2),
        ('\n\n(define (f)\n  (regexp-match #px"a{2" "a"))', 4, 17),
    ],
)
def test_a_pattern_that_cannot_be_compiled_has_its_place(program: str, line: int, column: int) -> None:
    """A literal is read, and so is its mistake."""
    error = _error(program, 1 << 50)
    assert "regexp" in error.message
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 100])
def test_a_program_takes_its_message_before_its_first_slice_ends(steps: int) -> None:
    """The next message, which the host gives it then, does not come in its place."""
    sandbox = Sandbox(Engine.shared(), 64 << 20)
    message = protocol.evaluate('(string-append "the " "program")', "test.scm", {})
    status = sandbox.run(message, steps, 1 << 50)
    next_message: bytes | None = protocol.TICK
    while status == GuestStatus.PREEMPTED:
        status, next_message = sandbox.run(next_message, steps, 1 << 50), None
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    sandbox.close()
    assert done.value == "the program"


async def test_a_program_is_run_where_a_long_collection_is_due_when_it_begins() -> None:
    """The collection takes more than a slice; wherever it falls, the program's message waits for it."""
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        await session.execute("(define held (for/list ([i 60000]) i))")
        for i in range(100):
            await session.execute(f"(define garbage (vector->list (make-vector {1000 + 20 * i} 1)))")
            assert (await session.execute(f"(+ {i} 1)")).value == str(i + 1)
