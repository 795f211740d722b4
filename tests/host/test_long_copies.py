"""What is copied, filled, compared and put together piece by piece is what it would be in one go.

The texts are longer than a piece (LONG_PART in wasm/core/prims.h), of one width or another, and slices end
after every piece, or never. Python says what comes out.
"""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.host.test_long_texts import outcome

N = 300_000
"""More than two pieces of 131,072."""

NARROW = "".join(chr(97 + i * i % 23) for i in range(N))
LATIN = NARROW[:-3] + "\xe9\xdf\xe8"
WIDE = NARROW[:150_000] + "\u03bb" + NARROW[150_001:]
WIDEST = NARROW[:200_000] + "\U0001d11e" + NARROW[200_001:]

MAKE = """
(define (noise n) (let ([s (make-string n)]) (let loop ([i 0]) (if (< i n) (begin
  (string-set! s i (integer->char (+ 97 (remainder (* i i) 23)))) (loop (+ i 1))) s))))
(define narrow (noise 300000))
(define latin (string-append (substring narrow 0 299997) "\\xe9;\\xdf;\\xe8;"))
(define wide (string-append (substring narrow 0 150000) "\\x3bb;" (substring narrow 150001)))
(define widest (string-append (substring narrow 0 200000) "\\x1d11e;" (substring narrow 200001)))
(define (copy s) (substring s 0))
(define bytes (string->utf8 narrow))
(define vector* (list->vector (iota 300000)))
"""

TEXTS = {
    "substring of a wide text that is narrow": ("(substring wide 0 140000)", WIDE[:140_000]),
    "substring of a wide text": ("(substring wide 7 290000)", WIDE[7:290_000]),
    "string-copy": ("(string-copy widest 3)", WIDEST[3:]),
    "string->immutable-string": ("(string->immutable-string (copy wide))", WIDE),
    "string-append of texts of all widths": (
        "(string-append narrow widest latin wide)",
        NARROW + WIDEST + LATIN + WIDE,
    ),
    "apply string-append": ("(apply string-append (make-list 9 wide))", WIDE * 9),
    "string-append*": ('(string-append* "<" narrow (list wide ">" latin))', "<" + NARROW + WIDE + ">" + LATIN),
    "string-join with a long separator": (
        "(string-join (list narrow latin wide) widest)",
        NARROW + WIDEST + LATIN + WIDEST + WIDE,
    ),
    "string-join of many short texts": (
        '(string-join (map number->string (iota 9000)) ", ")',
        ", ".join(map(str, range(9_000))),
    ),
    "%string-repeat by string-pad": ("(string-pad latin 600000)", " " * N + LATIN),
    "padding behind": ('(string-pad-right wide 600001 #\\y)', WIDE + "y" * (N + 1)),
    "padding that cuts": ("(string-pad narrow 200000)", NARROW[100_000:]),
    "copying forwards in itself": (
        "(let ([s (copy narrow)]) (string-copy! s 10 s 0 299990) s)",
        NARROW[:10] + NARROW[:299_990],
    ),
    "copying backwards in itself": (
        "(let ([s (copy narrow)]) (string-copy! s 0 s 10) s)",
        NARROW[10:] + NARROW[-10:],
    ),
    "copying what is wider": (
        "(let ([s (make-string 300001 #\\a)]) (string-copy! s 1 widest) s)",
        "a" + WIDEST,
    ),
    "filling with what is wider": (
        "(let ([s (copy narrow)]) (string-fill! s #\\x1f642 5 290000) s)",
        NARROW[:5] + "\U0001f642" * 289_995 + NARROW[290_000:],
    ),
    "setting what is wider": (
        "(let ([s (copy narrow)]) (string-set! s 299999 #\\x3bb) s)",
        NARROW[:-1] + "\u03bb",
    ),
    "trimming a little": ('(string-trim (string-append "  " wide "  "))', WIDE),
    "a long piece between separators": (
        '(cadr (string-split (string-append "a," wide ",b") ","))',
        WIDE,
    ),
    "a long line": ('(cadr (string-split (string-append "a\\n" wide "\\nb") "\\n"))', WIDE),
    "replacing between long pieces": (
        '(string-replace (string-append wide "!" narrow "!") "!" latin)',
        WIDE + LATIN + NARROW + LATIN,
    ),
    "replacing nothing by long texts": ('(string-replace "ab" "" latin)', LATIN + "a" + LATIN + "b" + LATIN),
    "spaces that are normalised": (
        '(string-normalize-spaces (string-append wide "   " latin "  "))',
        WIDE + " " + LATIN,
    ),
    "reading a port": ("(read-string 299999 (open-input-string (copy wide)))", WIDE[:299_999]),
    "reading a line": ('(read-line (open-input-string (string-append wide "\\nx")))', WIDE),
    "writing to a port": (
        "(let ([p (open-output-string)]) (write-string narrow p) (write-string wide p) (write-string latin p 7)"
        " (get-output-string p))",
        NARROW + WIDE + LATIN[7:],
    ),
    "displaying into a text": ('(format "~a~s" wide narrow)', WIDE + '"' + NARROW + '"'),
    "bytes": (
        "(utf8->string (bytes-append bytes (subbytes bytes 5) (bytevector-copy bytes 0 200000)))",
        NARROW + NARROW[5:] + NARROW[:200_000],
    ),
    "bytes that are copied in themselves": (
        "(let ([b (bytes-copy bytes)]) (bytes-copy! b 9 b 0 299991) (bytes-copy! b 1 b 3) (utf8->string b))",
        (lambda b: b[0] + b[3:] + b[-2:])(NARROW[:9] + NARROW[:299_991]),
    ),
    "bytes that are filled": (
        "(let ([b (make-bytes 300000 97)]) (bytevector-fill! b 98 7 299990) (utf8->string b))",
        "a" * 7 + "b" * 299_983 + "a" * 10,
    ),
    "the digits of bytes": ("(bytes->hex-string (subbytes bytes 0 200000))", NARROW[:200_000].encode().hex()),
    "characters in a vector": ("(vector->string (string->vector wide 5))", WIDE[5:]),
    "a long piece of a regular expression's split": (
        '(apply string-append (regexp-split #px"!" (string-append "a!" wide "!" latin "!!" narrow)))',
        "a" + WIDE + LATIN + NARROW,
    ),
    "long groups of a match": (
        '(apply string-append (regexp-match #px"^((.*)!)(x)?(.*)$" (string-append wide "!" narrow)))'.replace(
            "(regexp-match", "(filter string? (regexp-match"
        )
        + ")",
        WIDE + "!" + NARROW + WIDE + "!" + WIDE + NARROW,
    ),
    "long groups of all matches": (
        '(apply string-append (append* (regexp-match* #px"(.)([^!]*)!" (string-append latin "!" wide "!") #:match-select values)))',
        LATIN + "!" + LATIN[0] + LATIN[1:] + WIDE + "!" + WIDE[0] + WIDE[1:],
    ),
    "one long group of all matches": (
        '(string-append* (regexp-match* #px"([^!]*)!" (string-append latin "!" wide "!") #:match-select cadr))',
        LATIN + WIDE,
    ),
    "characters in a list": ("(list->string (append (string->list narrow) (string->list wide)))", NARROW + WIDE),
    "names of symbols": (
        "(symbol->string (symbol-append (string->symbol latin) 'a (string->symbol wide) 'b))",
        LATIN + "a" + WIDE + "b",
    ),
    "bytes from a port": (
        "(utf8->string (read-bytevector 290000 (open-input-bytes bytes)))",
        NARROW[:290_000],
    ),
}  # fmt: skip

VALUES = {
    "string=? of two widths": (
        "(list (string=? wide (copy wide)) (string=? (substring wide 0 150000) (substring narrow 0 150000))"
        " (string=? narrow wide) (string=? narrow (copy narrow) narrow))",
        [True, True, False, True],
    ),
    "string<? at the last character": (
        "(list (string<? narrow latin) (string<? latin narrow) (string>=? latin narrow) (string<? narrow (copy narrow)))",
        [True, False, True, False],
    ),
    "equal? of texts in lists, vectors, tables": (
        "(list (equal? (list 1 wide) (list 1 (copy wide))) (equal? (vector wide 1) (vector (copy wide) 2))"
        " (equal? (list narrow) (list wide)) (equal? (hash 'a widest) (hash 'a (copy widest)))"
        " (equal? (hash wide 1) (hash (copy wide) 1)) (equal? (hash wide 1) (hash narrow 1)))",
        [True, False, False, True, True, False],
    ),
    "equal? of bytes and of uniform vectors": (
        "(list (equal? bytes (bytes-copy bytes)) (equal? bytes (bytes-append (subbytes bytes 1) #u8(0)))"
        " (bytes=? bytes (bytes-copy bytes)) (bytes<? bytes (bytes-append bytes #u8(0))))",
        [True, False, True, True],
    ),
    "a long text as a key": (
        "(let ([t (make-hash)]) (hash-set! t wide 1) (hash-set! t (copy wide) 2) (list (hash-count t) (hash-ref t (copy wide))"
        " (hash-ref t narrow 'none)))",
        [1, 2, "none"],
    ),
    "beginnings and ends": (
        "(list (string-prefix? wide (substring wide 0 299999)) (string-suffix? wide (substring wide 1))"
        " (string-prefix? wide narrow))",
        [True, True, False],
    ),
    "looking for a character": ("(list (string-index wide #\\x3bb) (string-index wide #\\!))", [150_000, False]),
    "vectors that are copied": (
        "(let ([v (vector-copy vector* 5)] [w (vector-append vector* vector*)]) (list (vector-length v) (vector-ref v 0)"
        " (vector-ref v 299994) (vector-length w) (vector-ref w 299999) (vector-ref w 300000) (for/sum ([x w]) x)))",
        [299_995, 5, 299_999, 600_000, 299_999, 0, 299_999 * 300_000],
    ),
    "vectors that are copied in themselves": (
        "(let ([v (vector-copy vector*)]) (vector-copy! v 2 v 0 299998) (vector-copy! v 0 v 1)"
        " (list (vector-ref v 0) (vector-ref v 1) (vector-ref v 299998) (vector-ref v 299999) (for/sum ([x v]) x)))",
        [1, 0, 299_997, 299_997, sum(range(299_998)) + 1 + 299_997],
    ),
    "vectors that grow, are filled and turned": (
        "(let ([v (vector-grow vector* 300010)] [f (make-vector 300000 'a)] [r (vector-copy vector*)]) (vector-reverse! r)"
        " (vector-fill! f vector* 1) (list (vector-ref v 299999) (vector-ref f 0) (eq? (vector-ref f 299999) vector*)"
        " (vector-ref r 0) (vector-ref r 299999) (vector-ref r 150000)))",
        [299_999, "a", True, 299_999, 0, 149_999],
    ),
    "sorting": (
        "(let ([l (map (lambda (i) (remainder (* i 7919) 300007)) (iota 300000))]) (define s (sort l <))"
        " (list (length s) (car s) (list-ref s 299999) (apply < (take s 1000))"
        "  (car (sort (vector->list vector* 0 3000) > #:key (lambda (x) (remainder x 1000))))))",
        None,
    ),
    "lists that are nested deeply": (
        "(let ([deep (lambda () (let loop ([i 100000] [l '()]) (if (= i 0) l (loop (- i 1) (list l)))))])"
        " (list (equal? (deep) (deep)) (string-length (format \"~s\" (deep)))))",
        [True, 200_002],
    ),
    "a symbol of a long name": (
        "(let ([s (string->symbol (copy wide))]) (list (eq? s (string->symbol (copy wide))) (string=? (symbol->string s) wide)"
        " (eq? s (string->uninterned-symbol (copy wide)))))",
        [True, True, False],
    ),
    "a pattern that is too long": (
        '(guard (e (#t (exn-message e))) (regexp narrow))',
        "regexp: pattern is too large: it has 300000 characters, and may have 262144",
    ),
    "a template of a long vector": (
        "(vector-length (eval (list 'quasiquote (make-vector 5000 (list 'unquote '(+ 1 2))))))",
        5_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("steps", [50, 20_000, 1 << 50])
@pytest.mark.parametrize("what", TEXTS)
def test_a_text_that_is_made_in_pieces_is_the_text(what: str, steps: int) -> None:
    """To the last character; its digest is compared, and its length."""
    program, expected = TEXTS[what]
    got = outcome(f"{MAKE} (let ([text {program}]) (list (string-length text) (sha256 text)))", steps)
    assert got == [len(expected), hashlib.sha256(expected.encode()).hexdigest()]


@pytest.mark.parametrize("steps", [50, 20_000])
@pytest.mark.parametrize("what", VALUES)
def test_what_is_done_in_pieces_gives_what_one_go_gives(what: str, steps: int) -> None:
    """Wherever a slice ends."""
    program, expected = VALUES[what]
    whole = outcome(f"{MAKE} {program}", 1 << 50)
    assert expected is None or whole == expected
    assert outcome(f"{MAKE} {program}", steps) == whole


LETTERS = "a" * 70_000 + "b" + "a" * 40_000 + "b\n" + "\u03bb" * 35_000 + "c"

PATTERNS = [
    "a*b", "a*?b", "a+?ba", "^[ab]*\n", "^.*c", "(?:a|b)*b", "(a|b)*b", "a{40000,}b", "a{60000}a*b", "a{70001}|b",
    "(?=a*b)aa", "(?!a*c)a", "(?<=b)a*b", "(?>a*)b", "(?>a*b)*", "a*a*a*b", "^(?:a*)c|b", "^a*a*b", "(a*)(b)(a*)", "[^c]*",
    "\\w*\\b", "(?m:^\u03bb*)", "b|c$", "[^\n]*?b\n", "(?i:A*B)", "x*", "(?s:.*)",
]  # fmt: skip


@pytest.mark.parametrize("steps", [50, 1 << 50])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_run_of_tens_of_thousands_of_characters_matches_what_python_matches(
    pattern: str, steps: int
) -> None:
    """Wherever it pauses on its way there, or on its way back."""
    program = (
        '(define text (string-append (make-string 70000 #\\a) "b" (make-string 40000 #\\a) "b\\n" (make-string 35000 #\\x3bb) "c"))'
        f'(let ([m (regexp-match-positions (pregexp "{quoted(pattern)}") text)]) (and m (map (lambda (p) (and p (list (car p) (cdr p)))) m)))'
    )
    found = re.search(pattern.replace("$", "\\Z"), LETTERS, re.DOTALL)
    expected = found and [list(found.span(i)) for i in range((found.re.groups or 0) + 1)]
    assert outcome(program, steps) == (expected or False)


def quoted(text: str) -> str:
    """As it stands in a string literal."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
