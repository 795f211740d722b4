"""What is usual goes a shorter way through the core: it gives what the long way gives, and what Python gives."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime
from rlm_wasm.testing import EchoProvider

PROGRAM = """
(define items (get-items))
(define (splits s) (list (string-split s ",") (string-split s) (string-split s "\\n") (string-split s "," #:trim? #f)
                         (string-split s "," #:trim? #f #:repeat? #t) (string-split s "é" #:trim? #f)))
(list (map splits items) (string-join items ", ") (apply string-append items) (string-append* items)
      (map (lambda (s) (string-search-forward "é" s 0)) items)
      (string->jsexpr (jsexpr->string items)) (string->jsexpr (jsexpr->string items #:encode 'all))
      (map jsexpr->string items))
"""
characters = st.sampled_from(' ,,\n\r\t\x0b\\"a bcé\x7f\x00\x1f/€😀\xa0')
narrow = st.lists(
    st.sampled_from([",", " ", "\n", "\t", "a", "word", "é", "sixteen letters!", "\x0b"]), max_size=40
)
texts = st.lists(
    st.one_of(st.text(characters, max_size=40), st.text(max_size=20), narrow.map("".join)), max_size=10
)


def rackets_split(text: str, separator: str) -> list[str]:
    """As string-split does it with its defaults: the separator taken off both ends first, once."""
    start, end = 0, len(text)
    if text.startswith(separator):
        start = len(separator)
    if text.endswith(separator):
        end -= len(separator)
    return text[start:end].split(separator) if start < end else []


@pytest.fixture(scope="module")
def outcome() -> Iterator[Callable[[list[str]], Any]]:
    """What the program makes of texts."""
    loop = asyncio.new_event_loop()
    items: list[list[str]] = [[]]
    runtime = Runtime(provider="echo", python="off", host_functions={"get-items": lambda: items[0]})
    session = runtime.session(limits=Limits(fuel=10**13))

    def run(texts: list[str]) -> Any:
        items[0] = texts
        result = loop.run_until_complete(session.execute(PROGRAM))
        assert result.status == "ok", result.error
        return result.data

    yield run
    loop.run_until_complete(session.aclose())
    loop.run_until_complete(runtime.aclose())
    loop.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts)
def test_texts_are_cut_joined_searched_and_written_as_in_python(
    outcome: Callable[[list[str]], Any], texts: list[str]
) -> None:
    """Narrow and wide characters, separators at the ends and in a row, escapes."""
    splits, joined, appended, appended_list, found, there, ascii_there, written = outcome(texts)
    for text, (comma, space, line, every, runs, accent) in zip(texts, splits, strict=True):
        assert comma == rackets_split(text, ",")
        assert line == rackets_split(text, "\n")
        assert space == [w for w in "".join(" " if c in " \t\n\f\r" else c for c in text).split(" ") if w]
        assert every == (text.split(",") if text else [])
        assert accent == (text.split("é") if text else [])
        assert [part for part in runs if part] == [part for part in text.split(",") if part]
    assert joined == ", ".join(texts)
    assert appended == appended_list == "".join(texts)
    assert found == [text.find("é") if "é" in text else False for text in texts]
    assert there == ascii_there == texts
    assert [json.loads(text) for text in written] == texts


async def value_of(program: str) -> str:
    """What the program's last expression is, in display form."""
    async with Runtime(provider=EchoProvider(), python="off") as runtime:
        result = await runtime.run(program)
    assert result.error is None, result.error
    return result.value


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 3000])
async def test_a_list_of_any_length_is_joined(count: int) -> None:
    """Short ones go one way, long ones another."""
    program = (
        f'(define l (map number->string (range {count}))) (equal? (string-split (string-join l ",") ",") l)'
    )
    assert await value_of(program) == "#t"


@pytest.mark.parametrize("length", [8191, 8192, 8193, 20000])
async def test_long_pieces_and_long_runs_of_separators_are_cut_as_short_ones(length: int) -> None:
    """They end the short way."""
    program = f"""
      (define a (make-string {length} #\\a))
      (define gap (make-string {length} #\\space))
      (define s (string-append "x " a gap "y"))
      (list (map string-length (string-split s)) (length (string-split s " ")) (equal? (cadr (string-split s " ")) a)
            (length (string-split s " " #:repeat? #t)))"""
    assert await value_of(program) == f"((1 {length} 1) {length + 2} #t 3)"


async def test_lines_that_end_with_a_return_are_still_warned_of() -> None:
    """Whoever goes the short way says so as before."""
    async with Runtime(provider=EchoProvider(), python="off") as runtime:
        result = await runtime.run('(string-split "a\\r\\nb\\r\\n" "\\n")')
    assert result.data == ["a\r", "b\r"]
    assert any("end with a return" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("program", "value"),
    [
        # the key that was looked up is another text when it is set
        ('(define k (string-copy "a")) (define h (make-hash)) (hash-set! h "a" 1) (hash-set! h "b" 2)'
         ' (hash-ref h k) (string-set! k 0 #\\b) (hash-set! h k 9) (list (hash-ref h "a") (hash-ref h "b"))', "(1 9)"),
        # another table, whose entries stand elsewhere
        ('(define g (make-hash)) (define h (make-hash)) (hash-set! g "a" 1) (hash-set! h "x" 0) (hash-set! h "a" 5)'
         ' (hash-ref h "a") (hash-set! g "a" 7) (list (hash-ref g "a") (hash-ref h "x") (hash-ref h "a"))', "(7 0 5)"),
        # the entry is gone
        ('(define h (make-hash)) (hash-set! h "a" 1) (hash-set! h "b" 2) (hash-ref h "a") (hash-remove! h "a")'
         ' (hash-set! h "a" 3) (hash-keys h)', "(b a)"),
        # f changes the table before its result is set
        ('(define h (make-hash)) (hash-set! h "a" 1) (hash-update! h "a" (lambda (v) (hash-clear! h) (hash-set! h "z" 0)'
         ' (+ v 1))) (list (hash-ref h "a") (hash-ref h "z"))', "(2 0)"),
        # keys that are eqv, and of another kind of table
        ('(define h (make-hasheqv)) (hash-set! h 1.5 1) (hash-set! h "a" 2) (hash-ref h 1.5)'
         ' (hash-set! h (string-copy "a") 3) (hash-count h)', "3"),
    ],
)  # fmt: skip
async def test_the_place_of_the_last_key_is_a_guess_that_is_checked(program: str, value: str) -> None:
    """What was looked up last is often what is set next, and sometimes it is not."""
    assert await value_of(program) == value


@pytest.mark.parametrize("length", [1, 8191, 8192, 8193, 100_000])
async def test_a_list_is_written_as_json_whatever_its_length_and_only_where_it_ends(length: int) -> None:
    """A long one is gone through step by step before."""
    program = f"""
      (define l (iota {length} 1))
      (define whole (equal? (string->jsexpr (jsexpr->string l)) l))
      (define (refused? x) (with-handlers ([exn:fail:contract? (lambda (e) (string-contains? (exn-message e) "proper lists"))])
                             (jsexpr->string x) #f))
      (define open (append l 'x))
      (define circle (list-copy l))
      (set-cdr! (last-pair circle) circle)
      (list whole (refused? open) (refused? circle) (refused? (list 1 open)) (jsexpr? open) (jsexpr? circle) (jsexpr? (list l l)))"""
    assert await value_of(program) == "(#t #t #t #t #f #f #t)"


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-0",
        "7",
        "-12",
        "999999999999999",
        "9999999999999999",
        "-12345678901234567890",
        "1.5",
        "1e3",
        "10",
    ],
)
async def test_a_number_of_json_is_what_it_is_in_python(number: str) -> None:
    """Short integers, long ones, floats."""
    value = json.loads(number)
    assert float(await value_of(f'(string->jsexpr "{number}")')) == float(value)
    assert (
        await value_of(f'(equal? (string->jsexpr "[{number}]") (list (string->jsexpr " {number} ")))') == "#t"
    )


@pytest.mark.parametrize(
    "text", ["01", "-", "1.", "1e", "[1,]", '{"a":1,}', '{"a",1}', '["a" "b"]', "-01", "1x"]
)
async def test_bad_json_is_refused_as_before(text: str) -> None:
    """The short ways end where something is odd."""
    program = f"(with-handlers ([exn:fail:read? (lambda (e) 'bad)]) (string->jsexpr {json.dumps(text)}))"
    assert await value_of(program) == "bad"


STARTING_WITH_A_RUN = [
    "[ab]+1", "([ab]+)@", "([ab]*)1", "[ab]{2,}1", "[ab]+?1@", "([ab]+)+1", "(?:[ab]+1)+@", "[ab]+\\b1?@",
    "[ab]+(?<=b)1", "([ab]+)@\\1", "[ab]+(?=1)", "a+b+1|b@", ".*1@", "[^1]+1", "([ab]+)(1)?@(?(2)b|a)", "a*?b@",
    "a?b*@b", "[ab]{2}1{1,2}@", "\\b[ab]+@1", "[ab ]+@(1|a)", "[ab]1*@", "a*@", "(?>[ab]+)b?@", "[ab]+ba1", "[ab]+(@|1)", "[ab]+$@?",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab1@ ", max_size=30), min_size=1, max_size=5))
def test_a_search_that_skips_the_run_where_it_failed_finds_what_pythons_finds(texts: list[str]) -> None:
    """What begins later in the run fails, too; not so where what follows looks back at it."""

    async def found() -> Any:
        async with Runtime(
            provider="echo",
            python="off",
            host_functions={"get-items": lambda: texts, "get-patterns": lambda: STARTING_WITH_A_RUN},
        ) as runtime:
            result = await runtime.run("""
              (define items (get-items))
              (map (lambda (p) (map (lambda (s) (map (lambda (m) (list (car m) (cdr m)))
                                                     (regexp-match-positions* (pregexp p) s))) items)) (get-patterns))""")
        assert result.error is None, result.error
        return result.data

    spans = asyncio.run(found())
    for pattern, of_pattern in zip(STARTING_WITH_A_RUN, spans, strict=True):
        expected = [[list(m.span()) for m in re.finditer(pattern, text)] for text in texts]
        assert of_pattern == expected, pattern


@pytest.mark.parametrize("gap", [65_535, 65_536, 200_000])
async def test_what_stands_in_every_match_is_found_however_far_it_is(gap: int) -> None:
    """It is looked for in strides, and what may stand before it is followed back a stride at the most."""
    program = f"""
      (define far (make-string {gap} #\\space))
      (define long (make-string {gap} #\\a))
      (list (regexp-match-positions* #px"[a-z]+@[a-z]" (string-append far "ab@c" far "d@" far "e@f"))
            (regexp-match-positions* #px"[a-z]+@[a-z]" (string-append "1" long "@b" long "@"))
            (regexp-match-positions* #px"[a-z]+@[a-z]" (string-append long far "@b"))
            (regexp-match? #px"[a-z]+@[a-z]" (string-append far long)))"""
    second, third = gap + 4 + gap + 2 + gap, 1 + gap + 1
    found = f"(({gap} . {gap + 4}) ({second} . {second + 3}))"
    assert await value_of(program) == f"({found} ((1 . {third + 1})) () #f)"


ASCII_AND_NOT = [
    "",
    "a",
    "Zz[`{@",
    "fifteen letters",
    "sixteen letters!",
    "seventeen letters",
    "straße",
    "ÀÉ",
    "ß",
    "\x7f\x80",
    "Σας",
]


@pytest.mark.parametrize("text", ASCII_AND_NOT)
async def test_the_case_of_short_texts_is_changed_as_in_python(text: str) -> None:
    """A few ASCII characters are changed all at once."""
    literal = json.dumps(text, ensure_ascii=False).replace("\\u007f", "\x7f")
    program = f"(map (lambda (f) (f {literal})) (list string-upcase string-downcase string-foldcase))"
    async with Runtime(provider=EchoProvider(), python="off") as runtime:
        result = await runtime.run(program)
    assert result.data == [text.upper(), text.lower(), text.casefold()]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"), ("-0", "0"), ("007", "7"), ("-12", "-12"), ("999999999", "999999999"), ("1234567890", "1234567890"),
        ("-999999999", "-999999999"), ("", "#f"), ("-", "#f"), ("+7", "7"), ("1-", "#f"), ("--1", "#f"), ("1 ", "#f"),
        ("12a", "#f"), ("1.5", "1.5"), ("é", "#f"), ("１", "#f"),
    ],
)  # fmt: skip
async def test_a_short_integer_is_read_as_a_number_is(text: str, number: str) -> None:
    """Up to nine digits go a shorter way."""
    assert (
        await value_of(f'(list (string->number "{text}") (string->number "{text}" 10))')
        == f"({number} {number})"
    )


@pytest.mark.parametrize("bits", [0, 1, 9, 10, 99, 100, 4294967295, 4294967296, 10**9, 999999999])
async def test_a_number_of_any_length_is_written_in_full(bits: int) -> None:
    """Digits are counted before there is a string for them."""
    assert await value_of(f"(list (number->string {bits}) (number->string -{bits}))") == f"({bits} {-bits})"


async def test_texts_are_put_together_whole_at_the_edge_of_a_block() -> None:
    """Short ones are copied as sixteen bytes: what lies behind the text that is made is nobody's."""
    program = """
      (define (check n)
        (define made (for/list ([i n]) (string-append (number->string i) "-" (string-upcase (number->string i 16)))))
        (for/and ([s made] [i n])
          (equal? (string->list s) (append (string->list (number->string i)) (list #\\-)
                                           (map char-upcase (string->list (number->string i 16)))))))
      (define (split-again n)
        (define numbers (map number->string (range n)))
        (equal? numbers (string-split (string-join numbers "  "))))
      (list (check 20000) (split-again 30000) (format "~a ~s ~a" "abcdefghijklmnopqrstuvwxyz" "short" '(1 "x" (2))))"""
    assert await value_of(program) == '(#t #t abcdefghijklmnopqrstuvwxyz "short" (1 x (2)))'
