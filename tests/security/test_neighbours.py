"""What one hostile session can take from others: time until its timeout fires, turns, bytes of the host.

The mechanism is tested, with a clock that a slice moves on and counters of slices and bytes: seconds, which
hang on the machine, are printed by benchmarks/neighbours.py.
"""

from __future__ import annotations

import asyncio
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Limits, Runtime
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.testing import InlineProvider

from . import hostile

SLICE_S = 0.010
"""So long a slice takes by the clock of these tests; so much more than a machine needs."""
LOOK_S = 0.000_01


class Clock:
    """``time``, with a monotonic clock that goes on by a slice, and a little with each look at it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slices = 0

    def monotonic(self) -> float:
        """Seconds."""
        self.now += LOOK_S
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """For all of the package, and for each slice of every guest."""
    made = Clock()
    for name, module in list(sys.modules.items()):
        if name.startswith("rlm_wasm.") and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", made)
    run = Sandbox.run

    def timed(self: Sandbox, *arguments: Any, **options: Any) -> int:
        status = run(self, *arguments, **options)
        made.now += SLICE_S
        made.slices += 1
        return status

    monkeypatch.setattr(Sandbox, "run", timed)
    return made


BUSY = {
    "a loop": "(let loop () (loop))",
    "a loop that catches everything": "(let again () (guard (e (#t (again))) (let loop () (loop))))",
    "requests in a loop": "(let loop () (context-slice 0 1) (loop))",
    "searches in a loop": '(let loop () (context-search "zzz") (loop))',
    "hundreds of fibers": "(for ([i 300]) (spawn (lambda () (let loop () (sleep 0) (loop))))) (let loop () (sleep 0) (loop))",
    "printing": '(let loop () (display "spam") (loop))',
    "calls": '(let loop () (llm-query #:instruction "q") (loop))',
    "host functions": "(let loop () (f 1) (loop))",
    "garbage": "(let loop ((l (iota 100000))) (loop (list-copy l)))",
    "large texts": '(define t (make-string 2000000 #\\a)) (let loop () (string-replace t (string-append (substring t 0 900000) "b") "x") (loop))',
    "compiling": "(let loop () (eval (cons 'cond (map (lambda (i) (list #f i)) (range 20000)))) (loop))",
}


@pytest.mark.parametrize("attack", BUSY)
async def test_a_timeout_fires_within_a_quarter_of_a_second_of_its_value(attack: str, clock: Clock) -> None:
    """Whatever the program does: it is looked at after each slice, and after each turn of the host's work."""
    limits = Limits(timeout_s=0.5, calls=1_000_000)
    runtime = Runtime(provider=InlineProvider(), limits=limits, host_functions={"f": lambda x: x})
    async with runtime, runtime.session() as session:
        await session.load_context("some words\n" * 200_000)
        began = clock.now
        result = await session.execute(BUSY[attack])
        took = clock.now - began
        assert result.status == "limit"
        assert result.error is not None
        assert result.error.kind == "timeout_s"
        assert limits.timeout_s < took < limits.timeout_s + 0.25
        assert (await session.execute("(+ 1 2)")).value == "3"


@pytest.mark.parametrize("attack", BUSY)
async def test_a_hundred_polite_sessions_have_a_turn_after_every_slice_of_a_hostile_one(
    attack: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what a polite session begins and what it gets there is a slice of the hostile one, or two."""
    hostile_slices = 0
    run = Sandbox.run
    bad: Sandbox | None = None

    def counted(self: Sandbox, *arguments: Any, **options: Any) -> int:
        nonlocal hostile_slices
        hostile_slices += self is bad
        return run(self, *arguments, **options)

    monkeypatch.setattr(Sandbox, "run", counted)
    runtime = Runtime(
        provider=InlineProvider(), limits=Limits(calls=10**6), host_functions={"f": lambda x: x}
    )
    async with runtime, runtime.session() as session:
        await session.load_context("some words\n" * 200_000)
        await session.execute("1")
        bad = session._scheduler.guest.sandbox
        polite = [runtime.session() for _ in range(100)]
        for one in polite:
            await one.execute("1")
        task = asyncio.create_task(session.execute(BUSY[attack]))
        await asyncio.sleep(0)
        waited = []
        for one in polite:
            before = hostile_slices
            assert (await one.execute("(+ 1 2)")).value == "3"
            waited.append(hostile_slices - before)
        before = hostile_slices
        results = await asyncio.gather(*(one.execute("(+ 1 2)") for one in polite))
        together = hostile_slices - before
        session.cancel()
        await task
        assert [result.value for result in results] == ["3"] * 100
        assert max(waited) <= 2
        assert together <= 4


LARGE = [
    entry
    for entry in hostile.corpus()
    if entry.attack in ("bytes_in_the_host", "the_border", "host_functions")
]


@pytest.mark.parametrize("entry", LARGE, ids=str)
async def test_what_the_host_holds_for_a_session_is_within_its_limits(
    entry: hostile.Hostile, tmp_path: Path
) -> None:
    """Its requests and replies under ``host_bytes``, and what a message, the output and the log may have: counted by the allocator."""
    model = hostile.Model()
    most = hostile.CEILING
    bound = most.host_bytes + 8 * most.message_bytes + 8 * most.output_bytes + most.log_bytes + (1 << 20)
    async with hostile.runtime_for(model, entry.attack, tmp_path) as runtime:
        model.play(entry)
        async with runtime.session(limits=Limits(**entry.limits), namespace="attacker") as session:
            await session.load_context(hostile.CONTEXT)
            await session.execute("1")
            tracemalloc.start()
            try:
                result = await session.execute(entry.source)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert hostile.complaint(entry, result) is None
            assert session._parts.meter.peak <= most.host_bytes
            assert peak < bound
