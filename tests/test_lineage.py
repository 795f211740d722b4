"""Text that came from a model keeps the ids of the calls that it derives from."""

from __future__ import annotations

import importlib.util

import pytest

from rlm_wasm import Runtime
from rlm_wasm.runlog.events import Record, RunEnded
from rlm_wasm.testing import InlineProvider

SETUP = """
(define a (syntax-e (llm-query #:instruction "alpha beta")))
(define b (syntax-e (llm-query #:instruction "gamma")))
"""


@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ("a", (1,)),
        ('"plain"', ()),
        ("(string-append a b)", (1, 2)),
        ("(string-append b a)", (1, 2)),
        ("(substring a 2 4)", (1,)),
        ('(format "~a and ~s" a b)', (1, 2)),
        ('(string-join (list a "x" b) ", ")', (1, 2)),
        ("(string-upcase a)", (1,)),
        ('(car (string-split a " "))', (1,)),
        ('(string-replace "x y" "x" b)', (2,)),
        ('(car (regexp-match #px"\\\\w+" a))', (1,)),
        ('(regexp-replace #rx"y" "x y" a)', (1,)),
        ("(list->string (string->list a))", ()),
        ("(hash-ref (string->jsexpr (jsexpr->string (hash 'k a))) 'k)", (1,)),
        ("(jsexpr->string (hash 'k a 'l b))", (1, 2)),
        ("(list 1 (vector a) (cons 2 b))", (1, 2)),
        ("(hash 'k a)", (1,)),
        ("(with-output-to-string (lambda () (display a)))", (1,)),
        ("(let ([p (open-output-string)]) (write b p) (get-output-string p))", (2,)),
        ("(string-length a)", ()),
        ("(llm-query #:instruction \"sum up\" #:data a)", (1, 3)),
        ("(car (map-async (lambda (x) (llm-query-async #:instruction x)) (list a)))", (1, 3)),
        ('(datum->syntax #f "own")', ()),
        ("(let ([v (llm-query #:instruction b)]) (checkpoint \"k\" v))", (2, 3)),
    ],
)  # fmt: skip
async def test_the_result_says_from_which_calls_its_value_derives(
    runtime: Runtime, expression: str, calls: tuple[int, ...]
) -> None:
    """provenance says the same; letters taken apart one by one lose it."""
    result = await runtime.run(f"{SETUP} (finish {expression})")
    assert result.status == "finished", result.error
    assert result.derived_from == calls
    shown = await runtime.run(f"{SETUP} (provenance {expression})")
    assert shown.data == list(calls), shown.error


async def test_cycles_have_a_provenance(runtime: Runtime) -> None:
    """They are walked once."""
    assert (await runtime.run(f"{SETUP} (define l (list a 1)) (set-cdr! (cdr l) l) (provenance l)")).data == [
        1
    ]


@pytest.mark.skipif(
    importlib.util.find_spec("rlm_wasm.python.component") is None, reason="the Python component is not built"
)
@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ('(py-eval "1 + 1")', ()),
        ("(py-eval \"'text'\")", ()),
        ('(begin (py-set! "x" a) (py-eval "x.upper()"))', (1,)),
        ('(begin (py-set! "x" (list a b)) (py-eval "[x[0], {\'k\': x[1]}]"))', (1, 2)),
        ('(begin (py-set! "x" b) (py-exec "print(x)"))', (2,)),
        ('(begin (py-set! "x" a) (py-exec "print(1)") (py-set! "y" b) (py-eval "y"))', (1, 2)),
    ],
)
async def test_what_python_gives_back_derives_from_all_that_it_was_given(
    runtime: Runtime, expression: str, calls: tuple[int, ...]
) -> None:
    """What it does with a text cannot be followed."""
    result = await runtime.run(f"{SETUP} (finish {expression})")
    assert result.status == "finished", result.error
    assert result.derived_from == calls


async def parts_of(expression: str) -> tuple[str, list[tuple[str, tuple[int, ...]]], tuple[int, ...]]:
    """The value of a logged run, the parts of it that come from calls, and the calls of the whole."""
    records: list[Record] = []
    async with Runtime(provider=InlineProvider(), log=records.append) as runtime:
        result = await runtime.run(f"{SETUP} {expression}")
    assert result.ok, result.error
    ended = records[-1]
    assert isinstance(ended, RunEnded)
    assert ended.derived_from == result.derived_from
    return (
        result.value,
        [(result.value[part.start : part.end], part.calls) for part in ended.parts],
        result.derived_from,
    )


A, B = ("[alpha beta]", (1,)), ("[gamma]", (2,))


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("a", [A]),
        ('"plain"', []),
        ('(string-append "x: " a ", é😀 " b "!")', [A, B]),
        ('(finish (string-append "x: " a ", é😀 " b "!"))', [A, B]),
        ('(string-join (list a "-" b) "; ")', [A, B]),
        ('(format "~a and ~s" a b)', [A, ('"[gamma]"', (2,))]),
        ('(list a (list b 5) "own")', [A, B]),
        ("(vector 1 a)", [A]),
        ("(hash 'k a)", [A]),
        ("(values a b)", [A, B]),
        ("(jsexpr->string (hash 'k a))", [('"[alpha beta]"', (1,))]),
        ("(car (string->jsexpr (jsexpr->string (list a b))))", [("[alpha beta]", (1, 2))]),
        ("(substring (string-append a b) 7 14)", [("beta]", (1,)), ("[g", (2,))]),
        ('(string-trim (string-append "  " b "  "))', [B]),
        ("(string-append a a)", [("[alpha beta][alpha beta]", (1,))]),
        ('(string-append (string-append "1" a) (string-append "2" a))', [A, A]),
        ('(with-output-to-string (lambda () (display "q") (display a) (write b)))', [A, ('"[gamma]"', (2,))]),
        ("(string-upcase (string-append a b))", [("[ALPHA BETA][GAMMA]", (1, 2))]),
        ('(string-replace (string-append a b) "a" "!")', [("[!lph! bet!][g!mm!]", (1, 2))]),
        ("(list->string (string->list a))", []),
        ("(llm-query #:instruction \"sum up\" #:data a)", [("[sum up]", (1, 3))]),
        ('(let ([s (string-append "--" b)]) (string-set! s 0 #\\x) s)', [B]),
    ],
)  # fmt: skip
async def test_a_run_log_says_which_part_of_the_value_comes_from_which_calls(
    expression: str, parts: list[tuple[str, tuple[int, ...]]]
) -> None:
    """In characters, of whatever the value is printed as."""
    if expression.startswith("(llm-query"):
        expression = f"(finish {expression})"
    assert (await parts_of(expression))[1] == parts


async def test_a_piece_keeps_all_of_its_calls_and_the_place_of_its_own() -> None:
    piece = '(cadr (string-split (string-append a ";" b) ";"))'
    assert await parts_of(piece) == ("[gamma]", [B], (1, 2))


async def test_of_very_many_parts_only_the_calls_are_told() -> None:
    grown = '(let loop ((i 0) (s "")) (if (< i ~) (loop (+ i 1) (string-append s b ".")) s))'
    value, parts, calls = await parts_of(grown.replace("~", "500"))
    assert parts == [B] * 500
    value, parts, calls = await parts_of(grown.replace("~", "2500"))
    assert (len(value), parts, calls) == (2500 * 8, [], (2,))
    _, parts, _ = await parts_of("(map (lambda (i) b) (range 1500))")
    assert parts == [B] * 1500


async def test_parts_are_kept_by_a_session_that_is_restored() -> None:
    records: list[Record] = []
    runtime = Runtime(provider=InlineProvider(), log=records.append)
    async with runtime, runtime.session() as session:
        await session.execute(f'{SETUP} (define c (string-append "1" a "2" b))')
        snapshot = await session.snapshot()
        async with await runtime.restore(snapshot) as again:
            value = (await again.execute('(string-append "0" c)')).value
    ended = records[-1]
    assert isinstance(ended, RunEnded)
    assert [(value[part.start : part.end], part.calls) for part in ended.parts] == [A, B]


async def test_a_separator_derives_from_its_call_however_often_it_is_put_between(runtime: Runtime) -> None:
    """Lineages that were met lately are remembered in few places: two that want the same one come again and again."""
    program = """
        (define texts (map (lambda (i) (syntax-e (llm-query #:instruction (number->string i)))) (range 90)))
        (define kept (make-string 20000 #\\z))
        (define whole (make-list 3000 (first texts)))
        (for/and ([separator (rest texts)])
          (let ([s (string-join whole separator)])
            (and (= (string-length s) (+ (* 3000 (string-length (first texts))) (* 2999 (string-length separator))))
                 (equal? (provenance s) (append (provenance (first texts)) (provenance separator)))
                 (equal? kept (make-string 20000 #\\z)))))"""
    assert (await runtime.run(program)).data is True
