"""Objects of JSON that are like those before them go a shorter way; usual calls are the core's, all others the prelude's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.text(st.sampled_from('ab "\\\n\t\x01\x7fé€😀'), max_size=12),
    st.sampled_from(["x" * 127, "x" * 128, '"' * 129, "é" * 200, "line\n" * 60]),
)
# Few keys: objects share some of them, in the same order or another, or begin alike and go another way.
keys = st.lists(
    st.sampled_from(["id", "name", "tags", "note", 'a "key"', "é", "日"]), unique=True, max_size=7
)


def _of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    alike = keys.flatmap(
        lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, values)), max_size=4)
    )
    return st.one_of(st.lists(values, max_size=5), alike, st.dictionaries(keys.map(str), values, max_size=4))


values = st.recursive(leaves, _of, max_leaves=30)
layouts = st.sampled_from([(None, (",", ":")), (None, (", ", ": ")), (2, (",", ": "))])


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[str, str], Any]]:
    """What a program makes of a text, which it gets from (get-text)."""
    loop = asyncio.new_event_loop()
    given_text = [""]
    runtime = Runtime(provider="echo", python="off", host_functions={"get-text": lambda: given_text[0]})
    session = runtime.session(limits=Limits(fuel=10**13))

    def execute(program: str, text: str = "") -> Any:
        given_text[0] = text
        result = loop.run_until_complete(session.execute(program))
        assert result.status == "ok", result.error
        return result.data

    yield execute
    loop.run_until_complete(session.aclose())
    loop.run_until_complete(runtime.aclose())
    loop.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(values, max_size=4), layouts, st.booleans())
def test_what_is_read_and_written_is_what_python_reads(
    run: Callable[[str, str], Any],
    items: list[Any],
    layout: tuple[int | None, tuple[str, str]],
    ascii_only: bool,
) -> None:
    """Keys in order, nested objects, escapes, integers of every length, with spaces and without."""
    indent, separators = layout
    text = json.dumps(items, indent=indent, separators=separators, ensure_ascii=ascii_only)
    plain, in_ascii = run(
        "(define v (string->jsexpr (get-text))) (list (jsexpr->string v) (jsexpr->string v #:encode 'all))",
        text,
    )
    assert json.dumps(json.loads(plain)) == json.dumps(items)
    assert in_ascii.isascii()
    assert json.loads(in_ascii) == items


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('[{"a":1,"b":2},{"a":3,"a":4,"b":5}]', [{"a": 1, "b": 2}, {"a": 4, "b": 5}]),
        ('[{"a":1,"b":2},{"a":3,"b":4,"a":5}]', [{"a": 1, "b": 2}, {"a": 5, "b": 4}]),
        (
            '[{"a":1,"b":2},{"a":3},{"a":3,"c":4,"b":5,"d":6}]',
            [{"a": 1, "b": 2}, {"a": 3}, {"a": 3, "c": 4, "b": 5, "d": 6}],
        ),
        (
            '[{"a":{"x":1}},{"a":[{"x":2},{"x":3,"y":4}]},{"a":{}}]',
            [{"a": {"x": 1}}, {"a": [{"x": 2}, {"x": 3, "y": 4}]}, {"a": {}}],
        ),
        ('[{"a":1},{"\\u0061":2},{"a\\u0000":3}]', [{"a": 1}, {"a": 2}, {"a\x00": 3}]),
    ],
)
def test_a_key_that_comes_twice_or_elsewhere_than_before_is_taken_as_it_stands(
    run: Callable[[str, str], Any], text: str, read: list[Any]
) -> None:
    """The last of two entries with one key counts."""
    assert json.loads(run("(jsexpr->string (string->jsexpr (get-text)))", text)) == read


def test_an_object_after_others_like_it_has_its_own_entries(run: Callable[[str, str], Any]) -> None:
    """Tables that were made alike share nothing: one that is changed leaves the others as they are."""
    program = """
    (define rows (string->jsexpr (get-text)))
    (define changed (hash-set (hash-remove (cadr rows) 'a) 'c 9))
    (list (hash-ref (car rows) "a") (hash-ref (cadr rows) "b") (hash-count changed) (hash-ref (cadr rows) "c" #f)
          (hash-ref changed "c") (hash-keys (caddr rows)))
    """
    assert run(program, '[{"a":1,"b":2},{"a":3,"b":4},{"a":5,"b":6}]') == [1, 4, 2, False, 9, ["a", "b"]]


@pytest.mark.parametrize(
    "bad",
    ['[{"a":1},{"a" 2}]', '[{"a":1},{"a":2,}]', '[{"a":1},{"a:2}]', '[{"a":1},{"a":tru}]', "[1,2,]", "[1 2]"],
)
def test_what_is_no_json_is_an_error_behind_objects_that_are(
    run: Callable[[str, str], Any], bad: str
) -> None:
    """The short way leaves the error to the long one."""
    program = '(with-handlers ([exn:fail? (lambda (e) (exn-message e))]) (string->jsexpr (get-text)) "read")'
    assert run(program, bad).startswith("bad JSON: ")


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ('(hash-ref (let ([h (make-hash (list (cons "k" 1)))]) (hash-update! h "k" add1 0) h) "k")', 2),
        ('(hash-ref (let ([h (make-hash)]) (hash-update! h "k" sub1 0) h) "k")', -1),
        (
            '(hash-ref (let ([h (make-hash)]) (hash-update! h "k" add1 4611686018427387903) h) "k")',
            4611686018427387904,
        ),
        ("(hash-ref (let ([h (make-hash)]) (hash-update! h 'k (lambda (l) (cons 1 l)) '()) h) 'k)", [1]),
        ("(hash-ref (let ([h (make-hash)]) (hash-update! h 'k add1 (lambda () 41)) h) 'k)", 42),
        (
            "(let ([h (make-hash)]) (for ([i 300]) (hash-update! h (modulo (* 7 i) 100) add1 0)) (apply + (hash-values h)))",
            300,
        ),
        (
            "(let* ([h (hash 'a 1)] [g (hash-update h 'a add1)]) (list (hash-ref h 'a) (hash-ref g 'a)))",
            [1, 2],
        ),
        (
            "(let ([h (make-hash)]) (hash-update! h 1.5 add1 0) (hash-update! h 1.5 add1 0) (hash-ref h 1.5))",
            2,
        ),
        (
            "(let ([h (make-hash)]) (hash-update! h (list 1 2) add1 0) (hash-update! h (list 1 2) add1 0) (hash-ref h '(1 2)))",
            2,
        ),
        ('(let ([h (string->jsexpr "{\\"n\\": 1}")]) (hash-ref (hash-update h "n" add1) \'n))', 2),
        (
            "(let ([h (make-hasheq)] [s (string #\\k)]) (hash-update! h s add1 0) (hash-ref h (string #\\k) 'other))",
            "other",
        ),
        ('(regexp-match* #px"(a)(b)?" "ab a" #:match-select cadr)', ["a", "a"]),
        ('(regexp-match* #px"(a)(b)?" "ab a" #:match-select caddr)', ["b", False]),
        ('(regexp-match* #px"(a)(b)?" "ab a" #:match-select values)', [["ab", "a", "b"], ["a", "a", False]]),
        (
            '(regexp-match* #px"a(b)?" "ab a" #:match-select second #:gap-select? #t)',
            ["", "b", " ", False, ""],
        ),
        (
            '(call-with-output-string (lambda (p) (write-char #\\a p) (newline p) (write-string (number->string (write-string "bé" p)) p)))',
            "a\nbé2",
        ),
        ('(map string-split \'("a b" " c "))', [["a", "b"], ["c"]]),
        ('(string-split "a--b" "--")', ["a", "b"]),
        ('(string-trim "--a--" "-" #:repeat? #t)', "a"),
        ('(string-replace "a-b-c" "-" "+" #:all? #f)', "a+b-c"),
    ],
)
def test_usual_calls_and_all_others_give_the_same(
    run: Callable[[str, str], Any], program: str, value: Any
) -> None:
    """What the core does by itself, and what it leaves to the prelude: options, procedures, unusual keys."""
    assert run(program, "") == value


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cs"]), max_size=40))
def test_a_string_has_one_hash_however_wide_its_characters_are_kept(
    run: Callable[[str, str], Any], text: str
) -> None:
    """It is found in a table by a copy of other width, and so is the symbol of its name in an object."""
    program = """
    (define text (get-text))
    (define wide (string-copy (string-append text "\\x1F600;") 0 (string-length text)))
    (define widened (string-append text "!"))
    (string-set! widened (string-length text) #\\x1F600)
    (string-set! widened (string-length text) #\\!)
    (define table (make-hash (list (cons text 'found) (cons (string-append text "!") 'longer))))
    (list (hash-ref table wide #f) (hash-ref table widened #f) (eq? (string->symbol text) (string->symbol wide))
          (eq? (string->symbol widened) (string->symbol (string-append text "!")))
          (hash-ref (hash-set (string->jsexpr "{}") (string->symbol widened) 5) widened #f))
    """
    assert run(program, text) == ["found", "longer", True, True, 5]
