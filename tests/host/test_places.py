"""Errors name the line in which they arose, also where a tail call or a fiber left no frame of it."""

from __future__ import annotations

import pytest

from rlm_wasm import ProviderError, Runtime
from rlm_wasm.testing import InlineProvider

CHECK = '(define (check x)\n  (error "bad" x))\n'


@pytest.mark.parametrize(
    ("program", "place"),
    [
        (CHECK + "(+ 1 (check 1))", (2, 3)),
        (CHECK + "(check 1)", (2, 3)),
        (CHECK + "(map-async check (list 1 2))", (2, 3)),
        (CHECK + "(parallel (list (lambda ()\n  (check 1))))", (2, 3)),
        (CHECK + "(list (await (spawn (lambda () (check 1)))))", (2, 3)),
        (CHECK + "(race (list (lambda () (check 1))))", (2, 3)),
        (CHECK + "(for-each check (list 1))", (2, 3)),
        ("(define (g)\n  (raise 'oops))\n(list (g))", (2, 3)),
        ('(define (g s)\n  (string->number s "x"))\n(list (g 5))', (2, 3)),
        ("(define (f n)\n  (if (= n 0)\n      (string-join 5)\n      (f (- n 1))))\n(list (f 3))", (3, 7)),
        ("(define (g)\n  (llm-query #:instruction 5))\n(list (g))", (2, 3)),
        ('(define (g s)\n  (string-split 5 s))\n(list (g " "))', (2, 3)),
    ],
)
async def test_an_error_in_a_tail_call_has_the_line_of_that_call(
    program: str, place: tuple[int, int]
) -> None:
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert (error.line, error.column) == place


async def test_an_error_in_a_fiber_has_the_fibers_backtrace() -> None:
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(CHECK + "(map-async check (list 1 2))")).error
    assert error is not None
    assert error.backtrace == ("check (line 2, column 3)",)


async def test_a_failed_call_that_no_line_awaits_has_the_line_that_sent_it() -> None:
    def fail(request: object) -> str:
        raise ProviderError("overloaded")

    program = '(define (ask x)\n  (llm-query-async #:instruction x))\n(parallel (list (lambda () (ask "q"))))'
    async with Runtime(provider=InlineProvider(fail)) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert "overloaded" in error.message
    assert (error.line, error.column) == (2, 3)


@pytest.mark.parametrize(
    "loop",
    [
        "(define (loop n) (if (= n 0) 'done (apply loop (list (- n 1)))))",
        "(define (loop n) (if (= n 0) 'done (call/cc (lambda (k) (loop (- n 1))))))",
        "(define (loop n) (if (= n 0) 'done (call-with-values (lambda () (- n 1)) loop)))",
        "(define (string-join n) (if (= n 0) 'done (string-join (- n 1))))\n(define loop string-join)",
        "(define (error n) (if (= n 0) 'done (error (- n 1))))\n(define loop error)",
    ],
)
async def test_no_loop_grows_by_the_frames_that_are_kept(loop: str) -> None:
    """Whatever may call the program back keeps no caller; nor does a program's own procedure of such a name."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        first = await session.execute(f"{loop}\n(loop 100)")
        long = await session.execute("(loop 200000)")
    assert (first.value, long.value) == ("done", "done")
    assert long.execution.memory_bytes < first.execution.memory_bytes + (8 << 20)
