"""Snapshots, forks and restores, and what follows a heavy execution: python benchmarks/copies.py

In CPU time of this process, so that what else the machine does counts little. Three sessions: a small one, one
with the results of 200 LLM calls, one with 50 MB of state. Figures are medians; forks are made 20 at a time.

Where pydantic-monty is installed, the same sessions in it, side by side: both do each thing in turn, so that what
else the machine does touches both alike. Its interpreter is another process, so there it is the time that passes.
"""

from __future__ import annotations

import asyncio
import importlib
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any

from rlm_wasm import CompletionRequest, Runtime, Session
from rlm_wasm.testing import GatedProvider, InlineProvider

SESSIONS = {
    "small": "(define x 1) (define (f y) (+ x y))",
    "200 results": "(define all (for/list ([i 200]) (syntax-e (llm-query #:instruction (number->string i)))))",
    "50 MB": "(define v (for/vector ([i 50]) (make-bytes 1000000 i)))",
}
BESIDE = {
    "small": "x = 1\ndef f(y):\n    return x + y",
    "200 results": "all = [ask(str(i)) for i in range(200)]",
    "50 MB": "v = [chr(97 + i) * 1000000 for i in range(50)]",
}
"""The same sessions, in pydantic-monty's Python."""
WAITING = {"ours": '(string-append (syntax-e (llm-query #:instruction "a")) "!")', "monty": "ask('a') + '!'"}
"""What is dumped in its middle."""
HEAVY = {
    "a vector of 200,000": "(define v (make-vector 200000 1))",
    "a list of 100,000 lists": "(define l (for/list ([i 100000]) (list i i)))",
    "a table of 50,000": "(define h (make-hash)) (for ([i 50000]) (hash-set! h i i))",
    "a loop of 3,000,000 turns": "(let loop ([i 3000000]) (if (= i 0) 7 (loop (- i 1))))",
}
FORKED_AT_ONCE = 20
FORKING_S = 1.0


def answer_of(instruction: str) -> str:
    """What the model says."""
    return f"answer {instruction}, of some length, as models write"


def answer(request: CompletionRequest) -> str:
    """The same for a provider."""
    return answer_of(request.instruction)


def other_work() -> None:
    """As long as the longest of the heavy ones, and nothing to do with the session: its caches are cold then."""
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass


def traffic(mebibytes: int) -> Callable[[], None]:
    """As much memory as a heavy one goes through, by Python: read once and written once."""
    held = bytearray(mebibytes << 20)

    def copy() -> None:
        held[:] = bytes(held)

    return copy


FLOOR = {
    "a loop of Python": other_work,
    **{f"a copy of {size} MiB by Python": traffic(size) for size in (1, 8, 32)},
}
"""What cold caches alone cost, whoever made them cold: nothing of it has to do with the session."""


def page_faults() -> int:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


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
    run, began = 0, time.process_time()
    while time.process_time() - began < FORKING_S:
        for fork in await session.fork(FORKED_AT_ONCE):
            assert (await fork.execute("1")).value == "1"
            await fork.aclose()
            run += 1
    print(f"  that run  {run / (time.process_time() - began):,.0f} a second")
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


# ---- beside pydantic-monty

Ways = dict[str, Callable[[], Awaitable[Any]]]


async def ours(stack: AsyncExitStack, name: str) -> Ways:
    """What is done with a session, by what it is called in the table; a number is a size."""
    runtime = await stack.enter_async_context(Runtime(InlineProvider(answer), python="off"))
    session = await stack.enter_async_context(runtime.session())
    await session.execute(SESSIONS[name])
    data = (await session.snapshot()).dump()

    async def dumped() -> int:
        await session.execute("(void)")  # else the copy of before is still there
        return len((await session.snapshot()).dump())

    async def restored() -> None:
        await (await runtime.restore(data)).aclose()

    async def run() -> None:
        async with await runtime.restore(data) as back:
            assert (await back.execute("(+ 1 2)")).value == "3"

    async def forked() -> None:
        await (await session.fork()).aclose()

    return {
        "execute and dump": dumped,
        "restore of bytes": restored,
        "restore and 1 + 2": run,
        "fork": forked,
    }


async def ours_waiting(stack: AsyncExitStack) -> Ways:
    """A session that waits for a call."""
    gate = GatedProvider(lambda _request: "b")
    runtime = await stack.enter_async_context(Runtime(gate, python="off"))
    session = await stack.enter_async_context(runtime.session())
    running = asyncio.create_task(session.execute(WAITING["ours"]))
    stack.push_async_callback(asyncio.wait, [running])
    stack.callback(session.cancel)
    await gate.arrived(1)
    data = (await session.snapshot()).dump()
    # The call is sent again: there it is answered at once, as monty's is.
    other = await stack.enter_async_context(Runtime(InlineProvider(lambda _request: "b"), python="off"))

    async def dumped() -> int:
        return len((await session.snapshot()).dump())

    async def resumed() -> None:
        async with await other.restore(data) as back:
            assert (await back.resume()).data == "b!"

    return {"dump": dumped, "restore, answer, to its end": resumed}


async def monty(stack: AsyncExitStack, name: str) -> Ways:
    """The same in pydantic-monty, as far as it can."""
    pool = stack.enter_context(
        importlib.import_module("pydantic_monty").Monty(min_processes=2, max_processes=4)
    )
    session = stack.enter_context(pool.checkout())
    session.feed_run(BESIDE[name], external_lookup={"ask": answer_of})
    data = session.dump()

    async def dumped() -> int:
        session.feed_run("None")
        return len(session.dump())

    async def restored() -> None:
        with pool.checkout() as back:
            back.load_session(data)

    async def run() -> None:
        with pool.checkout() as back:
            back.load_session(data)
            assert back.feed_run("1 + 2") == 3

    return {"execute and dump": dumped, "restore of bytes": restored, "restore and 1 + 2": run}


async def monty_waiting(stack: AsyncExitStack) -> Ways:
    """A session of its that waits for a call."""
    pool = stack.enter_context(
        importlib.import_module("pydantic_monty").Monty(min_processes=2, max_processes=4)
    )
    session = stack.enter_context(pool.checkout())
    waiting = session.feed_start(WAITING["monty"])
    data = waiting.dump()

    async def dumped() -> int:
        return len(waiting.dump())

    async def resumed() -> None:
        with pool.checkout() as back:
            over = back.load_snapshot(data).resume({"return_value": "b"})
            assert over.output == "b!"

    return {"dump": dumped, "restore, answer, to its end": resumed}


async def beside(rounds: int = 40) -> None:
    """A table in Markdown: both in turn, the medians of the time that passes."""
    there = find_spec("pydantic_monty") is not None
    print("\n|  | ours | pydantic-monty |\n| --- | --- | --- |")
    for name in (*SESSIONS, "waiting"):
        async with AsyncExitStack() as stack:
            if name == "waiting":
                mine, theirs = await ours_waiting(stack), await monty_waiting(stack) if there else {}
            else:
                mine, theirs = await ours(stack, name), await monty(stack, name) if there else {}
            for what, way in mine.items():
                ways = [way, theirs[what]] if what in theirs else [way]
                print(f"| {name}: {what} |", *(f"{cell} |" for cell in await in_turn(ways, rounds)))


async def in_turn(ways: list[Callable[[], Awaitable[Any]]], rounds: int) -> list[str]:
    """What each takes, and how many bytes it gave; a dash for what a peer has not."""
    seconds: list[list[float]] = [[] for _ in ways]
    given: list[Any] = [await way() for way in ways]  # what is done for the first time is another thing
    for _ in range(rounds):
        for way, taken in zip(ways, seconds, strict=True):
            began = time.perf_counter()
            await way()
            taken.append(time.perf_counter() - began)
    cells = [
        f"{statistics.median(taken) * 1e6:,.0f} µs" + (f", {size:,} bytes" if isinstance(size, int) else "")
        for taken, size in zip(seconds, given, strict=True)
    ]
    return cells if len(cells) == 2 else [*cells, "–"]


async def main() -> None:
    """All of it."""
    answers = InlineProvider(answer)
    async with Runtime(answers, python="off") as runtime:
        async with runtime.session() as session:
            usual = await median(200, lambda: session.execute("(+ 1 2)"))
            print(f"(+ 1 2): {usual * 1e6:.0f} µs")
            for name, work in {**FLOOR, **dict.fromkeys(HEAVY)}.items():
                taken, faults = [], []
                for _ in range(9):
                    await session.execute(HEAVY[name]) if work is None else work()
                    before = page_faults()
                    taken.append((await took(lambda: session.execute("(+ 1 2)")))[0])
                    faults.append(page_faults() - before)
                after = statistics.median(taken)
                print(
                    f"  after {name:<28} {after * 1e6:>8,.0f} µs, {after / usual:.1f}×, "
                    f"{statistics.median(faults):.0f} page faults"
                )
        for name, program in SESSIONS.items():
            async with runtime.session() as session:
                await session.execute(program)
                await copies(runtime, name, session)
    await beside()


if __name__ == "__main__":
    asyncio.run(main())
