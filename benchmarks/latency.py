"""Latencies of sessions: python benchmarks/latency.py [--json]

(a) a new session and (+ 1 2)   (b) a warm evaluation   (c) a suspend and resume round trip through
the scheduler, with a provider that answers at once: run on the spot, and in a task of its own.
Prints medians in microseconds, with the 10th and 90th percentile.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, Session


class AtOnce:
    """Answers without waiting. ``inline``: the scheduler may run it without a task."""

    free = True

    def __init__(self, *, inline: bool) -> None:
        self.inline = inline

    async def complete(self, request: CompletionRequest) -> Completion:
        """The same answer for everybody."""
        return Completion(text="yes", model="at-once")


async def nothing() -> None:
    """What has to be done after a sample, and is not counted."""


async def measure(
    work: Callable[[], Awaitable[object]], count: int, after: Callable[[], Awaitable[object]] = nothing
) -> dict[str, float]:
    """Median, p10 and p90 of so many calls, in microseconds."""
    for _ in range(max(count // 10, 20)):
        await work()
        await after()
    samples = []
    for _ in range(count):
        started = time.perf_counter()
        await work()
        samples.append((time.perf_counter() - started) * 1e6)
        await after()
    deciles = statistics.quantiles(samples, n=10)
    return {"median": statistics.median(samples), "p10": deciles[0], "p90": deciles[-1]}


async def main() -> dict[str, dict[str, float]]:
    """All of them."""
    figures = {}
    async with Runtime(provider=AtOnce(inline=True), limits=Limits(calls=1_000_000)) as runtime:
        made: list[Session] = []

        async def fresh() -> None:
            made.append(runtime.session())
            await made[-1].execute("(+ 1 2)")

        async def close() -> None:
            await made.pop().aclose()

        figures["(a) new session + (+ 1 2)"] = await measure(fresh, 2000, close)
        async with runtime.session() as session:
            figures["(b) warm (+ 1 2)"] = await measure(lambda: session.execute("(+ 1 2)"), 3000)
    for inline in (True, False):
        async with Runtime(provider=AtOnce(inline=inline), limits=Limits(calls=1_000_000)) as runtime:
            async with runtime.session() as session:
                figures[f"(c) suspend + resume, {'inline' if inline else 'in a task'}"] = await round_trip(
                    session
                )
    return figures


async def round_trip(session: Session) -> dict[str, float]:
    """200 calls one after another, less the same loop without calls, a call."""
    loop = "(let loop ((i 0)) (if (< i 200) (begin {} (loop (+ i 1)))))"
    calls = await measure(lambda: session.execute(loop.format('(llm-query #:instruction "q")')), 60)
    empty = await measure(lambda: session.execute(loop.format("(void)")), 60)
    return {name: (calls[name] - empty[name]) / 200 for name in calls}


if __name__ == "__main__":
    measured = asyncio.run(main())
    if "--json" in sys.argv:
        print(json.dumps(measured))
    else:
        for title, figure in measured.items():
            print(f"{title:35} {figure['median']:8.1f} µs   ({figure['p10']:.1f} … {figure['p90']:.1f})")
