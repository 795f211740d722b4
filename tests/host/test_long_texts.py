"""What is done with long texts and lists piece by piece gives what is done in one go, wherever a slice ends."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.protocol import Done
from rlm_wasm.sandbox.sandbox import Sandbox

LONG = 4096
"""Characters of a pattern from which on the search for it pauses in between, too."""


def outcome(program: str, steps: int) -> Any:
    """The data that a program gives in slices of so many steps."""
    sandbox = Sandbox(Engine.shared(), 256 << 20)
    message: bytes | None = protocol.evaluate(program, "test.scm", {})
    while sandbox.run(message, steps, 1 << 50) == protocol.GuestStatus.PREEMPTED:
        message = None
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    sandbox.close()
    assert done.error is None, done.error
    return (
        protocol.decode(done.data) if isinstance(done.data, bytes) else done.value
    )  # a text is its own data


@st.composite
def texts(draw: st.DrawFn, most: int) -> str:
    """Of a few letters that come again and again, but for some places: what searches find hard."""
    alphabet = draw(st.sampled_from(["a", "ab", "abé", "abλ", "a🙂"]))
    period = draw(st.text(alphabet, min_size=1, max_size=7))
    length = draw(st.integers(1, most))
    text = list((period * (length // len(period) + 1))[:length])
    for place in draw(st.lists(st.integers(0, length - 1), max_size=4)):
        text[place] = alphabet[-1]
    return "".join(text)


@st.composite
def texts_and_patterns(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and what may be in it: a piece of it, one that is damaged, or another text."""
    text = draw(texts(30_000))
    start = draw(st.integers(0, len(text) - 1))
    size = draw(st.sampled_from([1, 3, LONG, LONG + 1, 9_000]))
    piece = text[start : start + size]
    return text, draw(st.sampled_from([piece, piece + "a", "b" + piece])) if draw(st.booleans()) else draw(
        texts(9_000)
    )


def quoted(text: str) -> str:
    """As a Scheme string."""
    return '"' + text + '"'


def trimmed(text: str, part: str) -> str:
    """Without what stands at its ends, however often; nothing where the ends overlap."""
    start, end = 0, len(text)
    while text.startswith(part, start):
        start += len(part)
    while end >= len(part) and text[:end].endswith(part):
        end -= len(part)
    return text[start : max(start, end)]


SEARCHES = """
(define t {text}) (define p {pattern})
(list (sha256 (string-replace t p "<λ>")) (map string-length (string-split t p #:trim? #f))
      (map string-length (string-split t p #:trim? #f #:repeat? #t)) (string-length (string-trim t p #:repeat? #t))
      (string-contains? t p) (string-search-forward p t 0)
      (string-normalize-spaces (string-append "x" (string-replace t "a" "  ") "x")))
"""


@settings(max_examples=25, deadline=None, derandomize=True)
@given(given_texts=texts_and_patterns(), steps=st.sampled_from([300, 2_000, 1 << 40]))
def test_searches_find_what_python_finds(given_texts: tuple[str, str], steps: int) -> None:
    """Replaced, split, trimmed, found: with patterns of thousands of letters that nearly are everywhere."""
    text, pattern = given_texts
    many = f"(?:{re.escape(pattern)})+"
    expected = [
        hashlib.sha256(text.replace(pattern, "<λ>").encode()).hexdigest(),
        [len(part) for part in text.split(pattern)],
        [len(part) for part in re.split(many, text)],
        len(trimmed(text, pattern)),
        pattern in text,
        text.find(pattern) if pattern in text else False,
        " ".join(("x" + text.replace("a", "  ") + "x").split()),
    ]
    assert outcome(SEARCHES.format(text=quoted(text), pattern=quoted(pattern)), steps) == expected


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    parts=st.lists(st.text("aλ🙂", max_size=5), max_size=60),
    separator=st.text("b,λ", max_size=3),
    steps=st.sampled_from([50, 1 << 40]),
)
def test_a_join_is_the_join(parts: list[str], separator: str, steps: int) -> None:
    """Of thousands of texts, of one, of none; of any widths."""
    times = 70
    listed = " ".join(map(quoted, parts))
    program = f"(define l (append* (make-list {times} (list {listed})))) (list (sha256 (string-join l {quoted(separator)})) (sha256 (string-append* l)))"
    whole = parts * times
    expected = [hashlib.sha256(text.join(whole).encode()).hexdigest() for text in (separator, "")]
    assert outcome(program, steps) == expected


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    text=st.text("ab", max_size=200),
    first=st.sampled_from("aéλ🙂"),
    second=st.sampled_from("aéλ🙂"),
    place=st.integers(0, 300),
)
def test_texts_of_any_width_are_compared_by_their_characters(
    text: str, first: str, second: str, place: int
) -> None:
    """A text that once held a wide character has wide places for all of them."""
    other = text[:place] + "z" + text[place + 1 :] if place < len(text) else text

    def wide(content: str, by: str) -> str:
        return f"(substring (string-append {quoted(content)} {quoted(by)}) 0 {len(content)})"

    program = f"(let ([a {wide(text, first)}] [b {wide(other, second)}]) (list (equal? a b) (string<? a b) (string->list (string-append a b))))"
    assert outcome(program, 1 << 40) == [text == other, text < other, list(text + other)]


PLACES = {
    "(list-ref (circle 7) 1000000000003)": 1000000000003 % 7,
    "(car (list-tail (cons 'a (cons 'b (circle 3000000))) 20000000))": (20_000_000 - 2) % 3_000_000,
    "(list-tail (iota 100000) 100000)": [],
    "(list-tail '(1 2 . 3) 2)": 3,
    "(wrong (list-tail '(1 2 3) 5))": "list-tail: index too large for list\n  index: 5\n  in: '(1 2 3)",
    "(wrong (list-ref '(1 2 . 3) 2))": "list-ref: index too large for list\n  index: 2\n  in: '(1 2 . 3)",
    "(wrong (take '(1 2) 3))": "take: contract violation\n  expected: a list with at least 3 elements\n  given: '(1 2)",
    "(last (iota 100000))": 99_999,
    "(take-right '(1 2 3 . 4) 2)": "(2 3 . 4)",
    "(drop-right '(1 2 3 . 4) 2)": [1],
    "(length (take (iota 50000) 49999))": 49_999,
    "(list-ref (list-set (iota 50000) 49999 'x) 49999)": "x",
    "(apply + (sublist (iota 50000) 40000 50000))": sum(range(40_000, 50_000)),
    "(equal? (vector->list (list->vector (iota 30000))) (iota 30000))": True,
    "(let ((v (make-vector 300000 '(1)))) (gc) (list (vector-length v) (vector-ref v 0) (vector-ref v 299999) (eq? (vector-ref v 7) (vector-ref v 200000))))": [
        300_000,
        [1],
        [1],
        True,
    ],
    "(let ((v (make-vector 300000))) (list (vector-length v) (vector-ref v 0) (vector-ref v 299999) (for/sum ([x v]) x)))": [
        300_000,
        0,
        0,
        0,
    ],
    "(let ((s (make-string 600000 #\\λ))) (list (string-length s) (equal? s (list->string (make-list 600000 #\\λ)))))": [
        600_000,
        True,
    ],
    "(let ((b (make-bytevector 600000 7))) (list (bytevector-length b) (for/sum ([x b]) x)))": [
        600_000,
        4_200_000,
    ],
    "(wrong (list->vector (list* 1 2 3)))": "list->vector: contract violation\n  expected: list?\n  given: '(1 2 . 3)",
    "(substring (wrong (list->vector (circle 5))) 0 32)": "list->vector: contract violation",
    "(let ((v (make-vector 30000 0))) (vector-fill! v 7 10 29990) (apply + (vector->list v)))": 7 * 29_980,
}


@pytest.mark.parametrize("steps", [40, 1_000, 1 << 40])
@pytest.mark.parametrize("program", sorted(PLACES))
def test_places_of_long_lists_are_what_they_are(program: str, steps: int) -> None:
    """Whatever a slice's length; a circle is gone round as often as it has to be."""
    expected = PLACES[program]
    if steps < 1_000 and "000000" in program:
        pytest.skip("millions of pairs in slices of a few")
    source = f"""
        (define (circle n) (let ((l (iota n))) (set-cdr! (last-pair l) l) l))
        (define (gc) (let loop ((i 0)) (when (< i 400000) (list i i) (loop (+ i 1)))))
        (define-syntax-rule (wrong e) (guard (x (#t (exn-message x))) e))
        (let ((v {program})) (if (and (pair? v) (not (list? v))) (format "~s" v) v))"""
    assert outcome(source, steps) == expected
