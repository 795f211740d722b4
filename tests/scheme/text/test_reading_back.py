"""What ``write`` shows is read back as what it was, in both languages: the dialect's forms and R7RS's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime

READ_BACK = """
(define (text-of x) (call-with-output-string (lambda (port) ({write} x port))))
(define (again x) (read (open-input-string (text-of x))))
(define (wrong items) (filter-map (lambda (x) (if (equal? x (with-handlers ([void values]) (again x))) #f (text-of x))) items))
(define items (get-items))
(wrong (append (map string->symbol items) items (append-map string->list items) (map string->keyword items)
               (map string->bytes/utf-8 items) (list (map string->symbol items))))
"""
LANGUAGES = {
    "dialect": READ_BACK.format(write="write"),
    "r7rs": "(import (rename (only (scheme write) write) (write r7rs-write)))\n"
    + READ_BACK.format(write="r7rs-write").replace("(map string->keyword items)", "'()"),
}

texts = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.text(alphabet="|\\#.+-0123456789eEi/;()'`,\"@ \n\t\x00\x7f\ufeff\u3000aAλ%&!{[", max_size=6),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def failing() -> Iterator[Callable[[str, list[str]], list[str]]]:
    """What of the items, and of what is made of them, is not read back, as it was written."""
    loop = asyncio.new_event_loop()
    items: list[list[str]] = [[]]
    runtime = Runtime(provider="echo", python="off", host_functions={"get-items": lambda: items[0]})
    sessions = {name: runtime.session(limits=Limits(fuel=10**13)) for name in LANGUAGES}

    def run(language: str, texts: list[str]) -> list[str]:
        items[0] = texts
        result = loop.run_until_complete(sessions[language].execute(LANGUAGES[language]))
        assert result.status == "ok", result.error
        found: list[str] = result.data
        return found

    yield run
    for session in sessions.values():
        loop.run_until_complete(session.aclose())
    loop.run_until_complete(runtime.aclose())
    loop.close()


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(texts)
def test_any_symbol_string_character_keyword_and_bytes_are_read_back(
    failing: Callable[[str, list[str]], list[str]], texts: list[str]
) -> None:
    """Whatever characters they are made of."""
    for language in LANGUAGES:
        assert failing(language, texts) == [], language


@pytest.mark.parametrize(
    "name",
    [
        "|",
        "||",
        "",
        ".",
        "..",
        "#",
        "#|",
        "#%x",
        "#!eof",
        "+i",
        "-1+2i",
        "1/0",
        "1e3",
        "a|b",
        "\\",
        "a b",
        "\ufeff",
        "@a",
        "+nan.0x",
    ],
)
async def test_a_symbol_of_any_name_is_read_back_in_both_languages(name: str) -> None:
    """The same symbol, alone and in a list."""
    for program in LANGUAGES.values():
        async with Runtime(
            provider="echo", python="off", host_functions={"get-items": lambda: [name]}
        ) as runtime:
            result = await runtime.run(program)
        assert result.data == [], result.error


async def test_r7rs_forms_are_shown_after_its_import_and_rackets_without() -> None:
    """Characters, strings, bytevectors and symbols."""
    show = (
        "(define (text-of x) (call-with-output-string (lambda (port) (write x port))))"
        '(map text-of (list #\\nul #\\delete #\\x1f #\\x1b "\\u0001\\v" (bytes 1 255) (string->symbol "a|b") (string->symbol "a b")))'
    )
    async with Runtime(provider="echo", python="off") as runtime:
        dialect = await runtime.run(show)
        standard = await runtime.run("(import (scheme base) (scheme write))" + show)
    assert dialect.data == [
        "#\\nul",
        "#\\rubout",
        "#\\u001F",
        "#\\u001B",
        '"\\u0001\\v"',
        '#"\\1\\377"',
        "a\\|b",
        "|a b|",
    ], json.dumps(dialect.data)
    assert standard.data == [
        "#\\null",
        "#\\delete",
        "#\\x1f",
        "#\\escape",
        '"\\x1;\\xb;"',
        "#u8(1 255)",
        "|a\\|b|",
        "|a b|",
    ]


async def test_fold_case_holds_for_what_is_read_from_the_port_later() -> None:
    """Until #!no-fold-case; another port does not know of it."""
    program = """
    (define (all text) (let ((in (open-input-string text))) (let loop ((read-so-far '())) (let ((d (read in))) (if (eof-object? d) (reverse read-so-far) (loop (cons d read-so-far)))))))
    (list (map symbol->string (all "A #!fold-case B C #!no-fold-case D")) (map symbol->string (all "E")))
    """
    async with Runtime(provider="echo", python="off") as runtime:
        result = await runtime.run(program)
    assert result.data == [["A", "b", "c", "D"], ["E"]]


async def test_prefab_structures_are_read_as_the_types_of_their_name_and_shape() -> None:
    """Before and after their definition, with parents, in cycles; a wrong one is a read error."""
    program = """
    (define early '#s(point 1 (2)))
    (struct point (x y) #:prefab)
    (struct point3 point (z) #:prefab)
    (define deep (point3 1 2 3))
    (define (again x) (read (open-input-string (~s x))))
    (define ring (read (open-input-string "#0=#s(ring #0#)")))
    (list (point? early) (point-y early) (equal? early (point 1 '(2))) (~s (again early)) (~s deep)
          (equal? deep (again deep)) (point3? (again deep)) (point-x (again deep)) (match early [(point a b) (list b a)])
          (equal? deep (make-prefab-struct '(point3 1 point 2) 1 2 3)) (~s (prefab-struct-key deep)) (prefab-struct-key "no")
          (eq? ring (vector-ref (struct->vector ring) 1))
          (for/list ([text '("#s()" "#s(5)" "#s((a b 2) 1)" "#s(a . b)" "#s((a 2) 1)")])
            (with-handlers ([exn:fail:read? (lambda (e) 'refused)]) (read (open-input-string text)))))
    """
    async with Runtime(provider="echo", python="off") as runtime:
        result = await runtime.run(program)
    assert result.data == [
        True,
        [2],
        True,
        "#s(point 1 (2))",
        "#s((point3 point 2) 1 2 3)",
        True,
        True,
        1,
        [[2], 1],
        True,
        "(point3 point 2)",
        False,
        True,
        ["refused"] * 5,
    ], result.error
