"""Many sessions for a long time: random programs, limits, cancellations, forks, snapshots, resets.

Whatever they do, the process's memory stays where it was after the warm-up, nothing is left in flight,
and a session that is asked for a sum gives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proof.programs import CONTEXT, PROGRAMS, runtime_for
from proof.sweep import Answers
from rlm_wasm import Limits, Runtime, Session, Snapshot

MIB = 1 << 20
SAMPLES = 20
"""How often memory is looked at."""

_PROGRAMS = [source for name, source in PROGRAMS.items() if name != "deep recursion"]


@dataclass
class Figures:
    """What a soak did. ``memory`` is the process's resident memory in bytes, at even distances."""

    executions: int = 0
    sessions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """Bytes from the highest of the first half, which is the warm-up, to the highest of the second."""
        half = len(self.memory) // 2
        return max(self.memory[half:]) - max(self.memory[:half])


def resident() -> int:
    """The process's resident memory in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


async def soak(
    executions: int, *, at_once: int = 50, seed: int = 1, say: Callable[[str], None] | None = None
) -> Figures:
    """So many executions in sessions of which ``at_once`` are open at any time."""
    rng = random.Random(seed)
    figures = Figures()
    provider = Answers()
    async with runtime_for(provider, limits=Limits(timeout_s=60)) as runtime:

        async def worker() -> None:
            while figures.executions < executions:
                await _life(runtime, rng, figures)

        async def watch() -> None:
            while figures.executions < executions:
                if figures.executions >= len(figures.memory) * executions / SAMPLES:
                    gc.collect()
                    figures.memory.append(resident())
                    if say is not None:
                        say(f"{figures.executions:,} executions, {figures.memory[-1] / MIB:.0f} MiB")
                await asyncio.sleep(0)

        watching = asyncio.ensure_future(watch())
        await asyncio.gather(*(worker() for _ in range(at_once)))
        await watching
        gc.collect()
        figures.memory.append(resident())
        left = runtime.sessions
        if left:
            figures.wrong.append(f"{len(left)} sessions are still open")
    if provider.in_flight:
        figures.wrong.append(f"{provider.in_flight} calls are still in flight")
    return figures


async def _life(runtime: Runtime, rng: random.Random, figures: Figures) -> None:
    """One session from its beginning to its end, through a few executions."""
    figures.sessions += 1
    limits = rng.choice(
        (
            None,
            None,
            Limits(fuel=rng.randrange(100_000, 5_000_000)),
            Limits(memory_bytes=rng.randrange(8 * MIB)),
            Limits(calls=2),
        )
    )
    session = runtime.session(limits=limits, namespace=f"soak-{rng.randrange(8)}")
    await session.load_context(CONTEXT)
    for _ in range(rng.randrange(1, 12)):
        await _execute(session, rng, figures)
        act = rng.randrange(20)
        if act == 0:
            other = await session.fork()
            await _execute(other, rng, figures)
            await other.aclose()
        elif act == 1:
            dump = (await session.snapshot()).dump()
            await session.aclose()
            session = await runtime.restore(Snapshot.load(dump))
        elif act == 2:
            await session.reset()
            await session.load_context(CONTEXT)
    if limits is None:
        result = await session.execute("(+ 1 2)")
        if result.value != "3":
            figures.wrong.append(f"(+ 1 2) is {result.status} {result.value} {result.error}")
    await session.aclose()


async def _execute(session: Session, rng: random.Random, figures: Figures) -> None:
    running = asyncio.ensure_future(session.execute(rng.choice(_PROGRAMS)))
    how = rng.randrange(8)
    turns = rng.randrange(30) if how < 2 else 0
    if how == 0 and turns < 15:  # in its first turn: later it may be over, however many turns that is
        while not (session.running or running.done()):
            await asyncio.sleep(0)
    else:
        for _ in range(turns):
            await asyncio.sleep(0)
    if how == 0:
        session.cancel()
    elif how == 1:
        running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        result = await running
        figures.statuses[result.status] += 1
        if result.error is not None and result.error.type == "sandbox-crashed":
            figures.wrong.append(str(result.error))
    figures.executions += 1
