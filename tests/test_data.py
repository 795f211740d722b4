"""Reader, printer, tables, equal? and JSON: deep, cyclic, large and hostile data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from rlm_wasm import Limits, Runtime

Run = Callable[[str], str]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a program in a session of its own; gives its value as displayed, or its error's message."""
    loop = asyncio.new_event_loop()
    runtime = Runtime(provider="echo")

    async def once(program: str) -> str:
        async with runtime.session(limits=Limits(fuel=10**12)) as session:
            result = await session.execute(program)
            return str(result.value) if result.error is None else f"error: {result.error.message}"

    yield lambda program: loop.run_until_complete(once(program))
    loop.run_until_complete(runtime.aclose())
    loop.close()


TEXT = "(define (text v) (let ((p (open-output-string))) (write v p) (get-output-string p)))"
NEST = "(define (nest n x) (let loop ((i 0) (x x)) (if (= i n) x (loop (+ i 1) (list x)))))"


def test_a_list_nested_a_hundred_thousand_deep_is_written_read_and_compared(run: Run) -> None:
    """Nothing recurses along data."""
    program = f"{TEXT}{NEST}(define v (nest 100000 1)) (equal? v (read (open-input-string (text v))))"
    assert run(program) == "#t"


def test_deep_keys_are_found_in_tables(run: Run) -> None:
    """A comparison too long for one go is resumed."""
    assert (
        run(f"{NEST}(define h (make-hash)) (hash-set! h (nest 20000 1) 'in) (hash-ref h (nest 20000 1) 'out)")
        == "in"
    )
    assert (
        run(f"{NEST}(define h (make-hash)) (hash-set! h (nest 20000 1) 'in) (hash-ref h (nest 20000 2) 'out)")
        == "out"
    )


@pytest.mark.parametrize(
    ("make", "written"),
    [
        ("(let ((l (list 1 2))) (set-cdr! (cdr l) l) l)", "#0=(1 2 . #0#)"),
        ("(let ((v (vector 1 2))) (vector-set! v 1 v) v)", "#0=#(1 #0#)"),
        ("(let ((x (list 1))) (list x x))", "((1) (1))"),
        ("(append (make-list 3 'a) (let ((b (box 0))) (set-box! b b) (list b)))", "(a a a #0=#&#0#)"),
    ],
)
def test_cycles_and_only_cycles_are_written_with_labels_that_read_back(
    run: Run, make: str, written: str
) -> None:
    """R7RS's write."""
    assert run(f"{TEXT}(text {make})") == written
    assert run(f"{TEXT}(text (read (open-input-string {_quoted(written)})))") == written


def test_cyclic_values_are_compared_in_finite_time(run: Run) -> None:
    """Equal where their unfoldings are."""
    ring = "(define (ring . l) (set-cdr! (last-pair l) l) l)"
    assert (
        run(f"{ring} (list (equal? (ring 1 2) (ring 1 2 1 2)) (equal? (ring 1 2) (ring 1 2 1 3)))")
        == "(#t #f)"
    )


def test_tables_keep_insertion_order_through_growth_and_removal(run: Run) -> None:
    """A key that is set again after its removal comes last."""
    program = """
      (define h (make-hash))
      (for ([i 1000]) (hash-set! h i i))
      (for ([i 1000] #:when (even? i)) (hash-remove! h i))
      (hash-set! h 0 'again)
      (equal? (hash-keys h) (append (for/list ([i 1000] #:when (odd? i)) i) '(0)))"""
    assert run(program) == "#t"


def test_older_versions_of_an_immutable_table_stay_as_they_were(run: Run) -> None:
    """Used by turns with newer ones, too."""
    program = """
      (define a (for/fold ([h (hash)]) ([i 2000]) (hash-set h i i)))
      (define b (for/fold ([h a]) ([i 2000]) (if (even? i) (hash-remove h i) (hash-set h i (- i)))))
      (for/and ([i 2000])
        (and (= i (hash-ref a i)) (eqv? (hash-ref b i #f) (if (even? i) #f (- i)))))"""
    assert run(program) == "#t"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(define (f x)\n  (* x 2)", ["to close this `(`"]),
        ("(define (f x)\n  (* x 2)\n(define y 1)", ["to close this `(`", "line 3 begins at the left margin"]),
        ("(list 1 2]", ["expected a `)` to close the `(` at line 1, column 1", "found `]`"]),
        ("(list 1))", ["unexpected `)`"]),
        ('(display "a\\d")', ["unknown escape `\\d`", "`\\\\d`"]),
        ("#\\bogus", ["unknown character name"]),
    ],
)
def test_reader_errors_say_what_was_expected(run: Run, text: str, parts: list[str]) -> None:
    """And where the bracket is that was never closed."""
    message = run(text)
    assert all(part in message for part in parts), message


def test_json_errors_show_the_place(run: Run) -> None:
    """Line, column and the text around."""
    message = run('(string->jsexpr "{\\"a\\": 1,\\n \\"b\\" 2}")')
    assert "expected `:` after a key" in message
    assert "line 2, column 6" in message


def test_json_objects_are_found_by_symbol_and_by_string(run: Run) -> None:
    """Symbols are the keys, as in Racket."""
    assert (
        run('(define h (string->jsexpr "{\\"a\\": [1, null]}")) (list (hash-ref h \'a) (hash-ref h "a"))')
        == "((1 null) (1 null))"
    )


def test_json_in_a_code_fence_is_accepted_on_request(run: Run) -> None:
    """With the prose around it."""
    assert run('(string->jsexpr "Sure!\\n```json\\n[1, 2]\\n```\\nDone." #:lenient? #t)') == "(1 2)"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
