"""Every limit fires, names itself, cannot be caught, and leaves the session usable."""

from __future__ import annotations

import asyncio

import pytest

from rlm_wasm import Limits, Runtime
from rlm_wasm.testing import GatedProvider, InlineProvider

FOR_EVER = "(let loop () (with-handlers ([void (lambda (e) 1)]) (loop)))"
CATCH = "(with-handlers ([(lambda (e) #t) (lambda (e) 'caught)]) (dynamic-wind void (lambda () {}) (lambda () 1)))"


@pytest.mark.parametrize(
    ("limits", "program", "kind"),
    [
        (Limits(fuel=30_000_000), FOR_EVER, "fuel"),
        (Limits(timeout_s=0.1), FOR_EVER, "timeout_s"),
        (Limits(timeout_s=0.05), "(sleep 10)", "timeout_s"),
        (Limits(memory_bytes=8 << 20), "(let loop ((l '())) (loop (cons (make-vector 100 0) l)))", "memory_bytes"),
        (
            Limits(memory_bytes=16 << 20),
            '(let loop ([i 0]) (eval `(define ,(string->symbol (format "a~a" i)) (make-string 9000 #\\a))) (loop (+ i 1)))',
            "memory_bytes",
        ),
        (Limits(memory_bytes=8 << 20), "(make-vector 100000000 0)", "memory_bytes"),
        (Limits(memory_bytes=8 << 20), "(let loop ((s \"x\")) (loop (string-append s s)))", "memory_bytes"),
        (Limits(calls=2), '(map (lambda (i) (llm-query #:instruction "q")) (range 3))', "calls"),
        (Limits(calls=2), '(map (lambda (i) (llm-query-async #:instruction "q")) (range 3))', "calls"),
        (Limits(handles=5), "(map (lambda (i) (spawn (lambda () (sleep 1)))) (range 6))", "handles"),
        (Limits(tokens=5000), '(map (lambda (i) (llm-query #:instruction "q" #:max-tokens 2000)) (range 400))', "tokens"),
    ],
)  # fmt: skip
async def test_a_limit_fires(limits: Limits, program: str, kind: str) -> None:
    """The guest cannot catch it, and the session goes on."""
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime, runtime.session() as session:
        await session.execute("(define kept 7)")
        for text in (program, CATCH.format(program)):
            result = await session.execute(text)
            assert result.status == "limit", result
            assert result.error is not None
            assert result.error.kind == kind
            assert result.error.limit == getattr(limits, kind)
            assert result.error.used is not None
            assert result.error.used >= result.error.limit
            assert kind in result.error.message
        assert (await session.execute("(+ kept 1)")).value == "8"


async def test_fuel_is_exact_and_the_same_every_time(runtime: Runtime) -> None:
    """What a program takes is enough for it; one less is not."""
    program = "(let loop ((i 0)) (if (< i 2000) (loop (+ i 1)) i))"
    used = {(await runtime.run(program)).execution.fuel for _ in range(3)}
    assert len(used) == 1
    fuel = used.pop()
    assert (await runtime.run(program, limits=Limits(fuel=fuel))).status == "ok"
    assert (await runtime.run(program, limits=Limits(fuel=fuel - 1))).status == "limit"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
async def test_little_fuel_is_a_limit_and_nothing_else(share: float, runtime: Runtime) -> None:
    """Wherever in reading, expanding, compiling or running it ends."""
    program = "(define (f x) (* x 2)) (map f (list 1 2 3))"
    enough = (await runtime.run(program)).execution.fuel
    async with runtime.session(limits=Limits(fuel=int(enough * share))) as session:
        result = await session.execute(program)
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "fuel"


async def test_output_is_cut_and_marked() -> None:
    """Cutting ends nothing."""
    async with Runtime(provider=InlineProvider(), limits=Limits(output_bytes=1000)) as runtime:
        result = await runtime.run(
            '(for ([i 10000]) (display "0123456789")) (eprintf (make-string 5000 #\\x)) (make-string 4000 #\\é)'
        )
        assert result.status == "ok"
        assert result.truncated == ("stdout", "stderr", "value")
        for text in (result.stdout, result.stderr, result.value):
            assert len(text.encode()) < 1100
            assert "cut" in text


async def test_concurrency_is_never_exceeded(gate: GatedProvider) -> None:
    """Whatever the program asks for; every call is made in the end."""
    async with Runtime(provider=gate, limits=Limits(concurrency=4)) as runtime:
        task = asyncio.create_task(
            runtime.run(
                '(length (map-async (lambda (i) (llm-query-async #:instruction "q")) (range 30) #:max-concurrent 30))'
            )
        )
        await gate.arrived(4)
        while not task.done():
            assert len(gate.waiting) <= 4
            gate.release_many(1)
            await asyncio.sleep(0)
        assert (await task).value == "30"
        assert gate.peak == 4


async def test_an_oversized_reply_is_a_condition() -> None:
    """Not the end of the session."""
    async with Runtime(
        provider=InlineProvider(lambda r: "x" * 5000), limits=Limits(message_bytes=2000)
    ) as runtime:
        result = await runtime.run(
            '(with-handlers ([exn:fail? (lambda (e) "too large")]) (llm-query #:instruction "q"))'
        )
        assert result.value == "too large"
        result = await runtime.run(
            '(with-handlers ([exn:fail? exn-message]) (llm-query #:instruction "q" #:data (make-string 5000 #\\x)))'
        )
        assert "message_bytes" in result.value


async def test_calls_are_counted_exactly_under_any_fan_out(answers: InlineProvider) -> None:
    """Children included; refused calls are never sent."""
    async with Runtime(provider=answers, limits=Limits(calls=50)) as runtime:
        result = await runtime.run(
            '(map-async (lambda (i) (map-async (lambda (j) (llm-query-async #:instruction "q")) (range 10))) (range 10))'
        )
        assert result.status == "limit"
        assert len(answers.requests) == 50


async def test_children_share_their_parents_places() -> None:
    """Concurrency is one figure for a session and all its recursive calls."""
    program = (
        '```scheme\n(finish (string-join (map-async (lambda (i) (llm-query-async #:instruction "leaf"))'
        ' (range 5)) ","))\n```'
    )
    gate = GatedProvider(lambda request: "x" if request.instruction == "leaf" else program)
    async with Runtime(provider=gate, limits=Limits(concurrency=3)) as runtime:
        task = asyncio.create_task(
            runtime.run(
                '(map-async (lambda (i) (llm-query-async #:instruction "task" #:data "d" #:recursive #t)) (range 4))'
            )
        )
        while len(gate.waiting) < 3:
            await asyncio.sleep(0)
        while not task.done():
            assert len(gate.waiting) <= 3
            gate.release_many(1)
            await asyncio.sleep(0)
        result = await task
        assert result.data == ["x,x,x,x,x"] * 4, result
        assert gate.peak == 3
        assert result.execution.calls == 24


async def test_a_childs_fuel_is_its_parents() -> None:
    """A limit inside a child is the parent's limit."""
    program = "```scheme\n(let loop () (loop))\n```"
    async with Runtime(
        provider=InlineProvider(lambda request: program), limits=Limits(fuel=50_000_000)
    ) as runtime:
        result = await runtime.run('(llm-query #:instruction "go" #:data "d" #:recursive #t)')
        assert result.status == "limit"
        assert result.error is not None
        assert result.error.kind == "fuel"
