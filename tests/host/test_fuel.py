"""Fuel is exact: what a program took is enough for it, and one less is not.

Where it ends by a limit, fuel still counts what was done until then; a limit that does not fire takes
nothing. Which replies a guest is given together is part of the course that a program takes: here all are
made at once, or come one by one.
"""

from __future__ import annotations

from typing import Any

import pytest

from rlm_wasm import Limits, Result, Runtime
from rlm_wasm.execution import scheduler
from rlm_wasm.providers.base import CompletionRequest
from rlm_wasm.testing import InlineProvider, bracketed

CHILD = '```scheme\n(finish (string-append context (syntax-e (llm-query #:instruction "q"))))\n```'
BROKEN = "```scheme\n(no-such-thing)\n```"

PROGRAMS = {
    "a sum": "(+ 1 2)",
    "a loop over several slices": "(let loop ((i 0)) (if (< i 400000) (loop (+ i 1)) i))",
    "collections": (
        "(length (let loop ((i 0) (l (list))) (if (< i 50000) (loop (+ i 1) (cons (make-vector 10 i) l)) l)))"
    ),
    "output": '(for ([i 3000]) (printf "~a\n" i))',
    "a large value": "(make-string 100000 #\\a)",
    "an error": "(car (list))",
    "an error after several slices": '(let loop ((i 0)) (if (< i 200000) (loop (+ i 1)) (error "no")))',
    "a syntax error": "(let ((x)) x",
    "finish": "(for ([i 1000]) (display i)) (finish 5)",
    "a call": '(syntax-e (llm-query #:instruction "x"))',
    "thirty calls": "(map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (range 30))",
    "a call that is left": '(define h (llm-query-async #:instruction "x")) 1',
    "fibers that compute": (
        "(await-all (map (lambda (i) (spawn (lambda () (let loop ((j 0)) (if (< j 30000) (loop (+ j 1)) i)))))"
        " (range 8)))"
    ),
    "Python that is off": '(py-eval "1")',
    "a checkpoint": '(checkpoint "a" (range 1000)) (length (restore "a"))',
    "a child": '(syntax-e (llm-query #:instruction "t" #:data "abc" #:recursive #t))',
    "a child that is mended": '(syntax-e (llm-query #:instruction "broken" #:data "abc" #:recursive #t))',
    "children, one after the other": (
        '(map (lambda (i) (syntax-e (llm-query #:instruction "t" #:data "abc" #:recursive #t))) (range 3))'
    ),
}
ENDINGS = {
    "an error": "error",
    "an error after several slices": "error",
    "a syntax error": "error",
    "Python that is off": "error",
    "finish": "finished",
}
"""How those end that are not simply over."""


def _answer(request: CompletionRequest) -> Any:
    if "The task" not in request.instruction:
        return bracketed(request)
    return BROKEN if "broken" in request.instruction and "It failed" not in request.data else CHILD


async def _run(program: str, ceiling: Limits | None = None, **options: Any) -> Result:
    async with Runtime(provider=InlineProvider(_answer), python="off", limits=ceiling) as runtime:
        return await runtime.run(program, **options)


@pytest.mark.parametrize("name", PROGRAMS)
async def test_what_a_program_took_is_enough_and_one_less_is_not(name: str) -> None:
    """Whatever takes it: the guest, the host for it, or a child."""
    program = PROGRAMS[name]
    plain = await _run(program)
    fuel = plain.execution.fuel
    assert plain.status == ENDINGS.get(name, "ok")

    enough = await _run(program, Limits(fuel=fuel))
    assert (enough.status, enough.value, enough.execution.fuel) == (plain.status, plain.value, fuel)

    short = await _run(program, Limits(fuel=fuel - 1))
    assert short.status == "limit"
    assert short.error is not None
    assert (short.error.kind, short.error.limit) == ("fuel", fuel - 1)
    assert short.execution.fuel >= fuel - 1


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_limit_that_does_not_fire_takes_nothing(name: str) -> None:
    """Of the runtime, of one run, of time."""
    program = PROGRAMS[name]
    fuel = (await _run(program)).execution.fuel
    assert (
        await _run(program, Limits(fuel=10 * fuel, calls=900, memory_bytes=64 << 20))
    ).execution.fuel == fuel
    assert (await _run(program, None, limits=Limits(fuel=2 * fuel))).execution.fuel == fuel
    assert (await _run(program, None, timeout_s=50.0)).execution.fuel == fuel


async def test_the_clock_does_not_say_how_much_a_program_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies that are made at once come together, however often the event loop has a turn meanwhile."""
    program = PROGRAMS["thirty calls"]
    fuel = (await _run(program)).execution.fuel
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    assert (await _run(program)).execution.fuel == fuel
