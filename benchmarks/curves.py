"""What one more costs where there are many already, in time and in memory, in one process.

    python benchmarks/curves.py [--only TEXT] [--most N]     measures, into benchmarks/curves.json
    python benchmarks/curves.py --draw                       docs/images/scaling-curves.svg, and the table of docs/scaling.md

Each point is a process of its own. Its time is CPU time, so that a machine that does other things, too, tells the
same; its memory is what the process had more when all of them were there. A level line is linear:
ten times as many cost ten times as much. With --most only points up to N are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from drawings import drawing, panel

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, Session
from rlm_wasm.testing import GatedProvider

FIGURES = Path(__file__).parent / "curves.json"
PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
BEGIN = "<!-- written by benchmarks/curves.py: begin -->"
END = "<!-- written by benchmarks/curves.py: end -->"
LIMITS = Limits(
    calls=10**7,
    handles=10**7,
    concurrency=10**6,
    host_bytes=1 << 34,
    log_bytes=1 << 30,
    memory_bytes=3 << 30,
    message_bytes=64 << 20,
    fuel=10**13,
    timeout_s=3600.0,
)


class Soon:
    """Answers in the next turn of the event loop."""

    name = "soon"
    free = True

    async def complete(self, request: CompletionRequest) -> Completion:
        await asyncio.sleep(0)
        return Completion(text="yes")


class Clock:
    """CPU seconds between ``start`` and ``stop``, and the bytes that the process had more when it was looked at."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.bytes = 0
        self._began, self._had = 0.0, 0

    def start(self) -> None:
        gc.collect()
        self._had = own_bytes()
        self._began = time.process_time()

    def look(self) -> None:
        """At its memory, in no time of its own."""
        began = time.process_time()
        self.bytes = max(self.bytes, own_bytes() - self._had)
        self._began += time.process_time() - began

    def stop(self) -> None:
        self.cpu_s += time.process_time() - self._began
        self.look()


def own_bytes() -> int:
    """The memory that nobody else uses, and the process's share of what it uses with others (Linux)."""
    with Path("/proc/self/smaps_rollup").open(encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


Measure = Callable[[int, Clock], Awaitable[None]]


async def in_session(source: Callable[[int], str], size: int, clock: Clock, *before: str) -> None:
    """The program of a size, in a session that has run something."""
    async with Runtime(Soon(), limits=LIMITS, python="off") as runtime, runtime.session() as session:
        for text in ("1", *before):
            (await session.execute(text)).raise_for_status()
        text = source(size)
        clock.start()
        (await session.execute(text)).raise_for_status()
        clock.stop()


async def sessions(size: int, clock: Clock) -> None:
    """All of them are open at the end."""
    async with Runtime(Soon(), limits=LIMITS, python="off") as runtime:
        kept: list[Session] = []
        clock.start()
        for _ in range(size):
            session = runtime.session()
            (await session.execute("(+ 1 2)")).raise_for_status()
            kept.append(session)
        clock.stop()
        for session in kept:
            await session.aclose()


async def in_flight(size: int, clock: Clock) -> None:
    """None is answered before all have been asked."""
    gate = GatedProvider()
    async with Runtime(gate, limits=LIMITS, python="off") as runtime, runtime.session() as session:
        await session.execute("1")
        clock.start()
        source = f'(length (map await (map (lambda (n) (llm-query-async #:instruction "q")) (range {size}))))'
        running = asyncio.create_task(session.execute(source))
        await gate.arrived(size, 3600)
        clock.look()
        gate.release_all()
        (await running).raise_for_status()
        clock.stop()


async def map_async(size: int, clock: Clock) -> None:
    await in_session(
        lambda n: f'(length (map-async (lambda (n) (llm-query-async #:instruction "q")) (range {n})))',
        size,
        clock,
    )


async def one_by_one(size: int, clock: Clock) -> None:
    """And so the scope log grows."""
    await in_session(lambda n: f'(for ([i {n}]) (llm-query #:instruction "q"))', size, clock)


async def race(size: int, clock: Clock) -> None:
    """One answers, the others are called off."""
    await in_session(
        lambda n: (
            f'(race (cons (lambda () (llm-query #:instruction "q")) (map (lambda (n) (lambda () (sleep 1000))) (range {n}))))'
        ),
        size,
        clock,
    )


async def await_any(size: int, clock: Clock) -> None:
    """Until none is left."""
    await in_session(
        lambda n: (
            f"""(let loop ([left (map (lambda (n) (llm-query-async #:instruction "q")) (range {n}))])
                        (unless (null? left)
                          (let-values ([(value rest) (await-any left)]) (loop rest))))"""
        ),
        size,
        clock,
    )


async def context(size: int, clock: Clock) -> None:
    async with Runtime(Soon(), limits=LIMITS, python="off") as runtime, runtime.session() as session:
        await session.execute("1")
        text = "lorem ipsum\n" * (size // 12)
        clock.start()
        await session.load_context(text)
        (await session.execute('(length (context-search "dolor"))')).raise_for_status()
        clock.stop()


async def forms(size: int, clock: Clock) -> None:
    await in_session(
        lambda n: "\n".join(f"(define (f{i} x) (if (> x {i}) (+ x 1) (* x 2)))" for i in range(n)),
        size,
        clock,
    )


async def nested(size: int, clock: Clock) -> None:
    await in_session(lambda n: "(add1 " * n + "0" + ")" * n, size, clock)


async def age(size: int, clock: Clock) -> None:
    async with Runtime(Soon(), limits=LIMITS, python="off") as runtime, runtime.session() as session:
        await session.execute("(define all '())")
        clock.start()
        for _ in range(size):
            await session.execute("(set! all (cons 1 all))")
        clock.stop()


def up_to(power: int) -> tuple[int, ...]:
    return tuple(10**n for n in range(1, power + 1))


CURVES: dict[str, tuple[Measure, tuple[int, ...]]] = {
    "open sessions, with (+ 1 2)": (sessions, up_to(5)),
    "executions of one session": (age, up_to(5)),
    "LLM calls in flight at once": (in_flight, up_to(5)),
    "items of map-async": (map_async, up_to(5)),
    "LLM calls one after another": (one_by_one, up_to(5)),
    "contenders of a race": (race, up_to(5)),
    "await-any until none is left": (await_any, up_to(4)),
    "bytes of a context, searched": (context, (10**4, 10**5, 10**6, 10**7, 10**8, 10**9)),
    "definitions of a program": (forms, up_to(5)),
    "calls nested in one another": (nested, up_to(5)),
}


def point(name: str, size: int) -> None:
    """In a process of its own: CPU seconds and bytes, on standard output."""
    measure, sizes = CURVES[name]
    asyncio.run(measure(sizes[0] // 10 or 1, Clock()))  # what is done once in a process is done now
    clock = Clock()
    asyncio.run(measure(size, clock))
    print(json.dumps([clock.cpu_s, clock.bytes]))


def measure(only: str, most: int) -> None:
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name, (_, sizes) in CURVES.items():
        if only not in name:
            continue
        print(name, flush=True)
        known[name] = []
        for size in sizes:
            if size > most:
                break
            command = [sys.executable, __file__, "--point", name, str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"  {size:>13,} {done.stderr.strip().splitlines()[-1]}", flush=True)
                break
            cpu_s, peak = json.loads(done.stdout)
            known[name].append([size, cpu_s, peak])
            print(f"  {size:>13,} {cpu_s / size * 1e6:>12.3f} µs {peak / size:>12.1f} bytes", flush=True)
        FIGURES.write_text(json.dumps(known, indent=1) + "\n")


def draw() -> None:
    found = json.loads(FIGURES.read_text())
    parts = []
    for row, (name, points) in enumerate(found.items()):
        at = 40 + 215 * row
        time_of = [(size, cpu_s / size * 1e6) for size, cpu_s, _ in points]
        bytes_of = [(size, max(peak, 1) / size) for size, _, peak in points if peak > 1 << 20]
        parts.append(panel(80, at, 340, 140, f"{name}: CPU time of one", " µs", [("", time_of)]))
        if bytes_of:
            parts.append(panel(540, at, 340, 140, f"{name}: memory of one", " B", [("", bytes_of)]))
    drawing("curves", 920, 40 + 215 * len(found), parts)
    rows = [
        "| | so many | CPU time of each | memory of each | CPU time of each, over a tenth of them |",
        "|---|---|---|---|---|",
    ]
    for name, points in found.items():
        size, cpu_s, held = points[-1]
        fewer, less_s, _ = points[-2]
        rows.append(
            f"| {name} | {size:,} | {told(cpu_s / size * 1e6)} µs | {told(held / size)} bytes |"
            f" {cpu_s / size / (less_s / fewer):.2f}× |"
        )
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([before + BEGIN, *rows, END + after]), encoding="utf-8")


def told(value: float) -> str:
    """Two digits or three."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only curves with this in their names")
    parser.add_argument("--most", type=int, default=10**9, help="points up to this size")
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--point", nargs=2, metavar=("NAME", "SIZE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.point:
        point(given.point[0], int(given.point[1]))
    elif given.draw:
        draw()
    else:
        measure(given.only, given.most)


if __name__ == "__main__":
    main()
