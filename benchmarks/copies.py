"""Snapshots, forks and restores, and what follows a heavy execution: python benchmarks/copies.py

In CPU time of this process, so that what else the machine does counts little. Three sessions: a small one, one
with the results of 200 LLM calls, one with 50 MB of state. Figures are medians; forks are made 20 at a time.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rlm_wasm import Runtime, Session
from rlm_wasm.testing import InlineProvider

SESSIONS = {
    "small": "(define x 1) (define (f y) (+ x y))",
    "200 results": "(define all (for/list ([i 200]) (syntax-e (llm-query #:instruction (number->string i)))))",
    "50 MB": "(define v (for/vector ([i 50]) (make-bytes 1000000 i)))",
}
HEAVY = {
    "a vector of 200,000": "(define v (make-vector 200000 1))",
    "a list of 100,000 lists": "(define l (for/list ([i 100000]) (list i i)))",
    "a table of 50,000": "(define h (make-hash)) (for ([i 50000]) (hash-set! h i i))",
    "a loop of 3,000,000 turns": "(let loop ([i 3000000]) (if (= i 0) 7 (loop (- i 1))))",
}
FORKED_AT_ONCE = 20
FORKING_S = 1.0


async def took(work: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """CPU seconds, and what came of it."""
    began = time.process_time()
    result = await work()
    return time.process_time() - began, result


async def median(times: int, work: Callable[[], Awaitable[Any]]) -> float:
    """CPU seconds."""
    return statistics.median([(await took(work))[0] for _ in range(times)])


async def copies(runtime: Runtime, name: str, session: Session) -> None:
    """What copies of one session take."""
    seconds, snapshot = await took(session.snapshot)
    data = snapshot.dump()
    times = 10 if name == "50 MB" else 200

    async def restored(of: Any) -> None:
        await (await runtime.restore(of)).aclose()

    async def forked() -> None:
        for fork in await session.fork(FORKED_AT_ONCE):
            await fork.aclose()

    print(f"{name}: {len(data):,} bytes dumped, snapshot() {seconds * 1e3:.1f} ms")
    print(f"  restore   {await median(times, lambda: restored(snapshot)) * 1e6:,.0f} µs")
    print(f"  of bytes  {await median(times, lambda: restored(data)) * 1e6:,.0f} µs")
    made, began = 0, time.process_time()
    while time.process_time() - began < FORKING_S:
        await forked()
        made += FORKED_AT_ONCE
    print(f"  forks     {made / (time.process_time() - began):,.0f} a second")
    turns: list[float] = []

    async def watch() -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(0)
            now = time.process_time()
            turns.append(now - last)
            last = now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    for _ in range(5):
        await session.execute("(void)")
        await session.snapshot()
        await asyncio.sleep(0)
    watching.cancel()
    print(f"  the longest turn while it is snapshot  {max(turns) * 1e3:.1f} ms")


async def main() -> None:
    """All of it."""
    answers = InlineProvider(lambda request: f"answer {request.instruction}, of some length, as models write")
    async with Runtime(answers, python="off") as runtime:
        async with runtime.session() as session:
            usual = await median(200, lambda: session.execute("(+ 1 2)"))
            print(f"(+ 1 2): {usual * 1e6:.0f} µs")
            for name, program in HEAVY.items():
                await session.execute(program)
                after, _ = await took(lambda: session.execute("(+ 1 2)"))
                print(f"  after {name:<28} {after * 1e6:>8,.0f} µs, {after / usual:.1f}×")
        for name, program in SESSIONS.items():
            async with runtime.session() as session:
                await session.execute(program)
                await copies(runtime, name, session)


if __name__ == "__main__":
    asyncio.run(main())
