"""Small evaluations and VM programs, here and in another checkout, in turn: python benchmarks/against.py FOLDER [--rounds N]

Each checkout (with its guest built) runs in a process of its own; the two measure in turn, so that what else the
machine does disturbs both alike. Printed are CPU microseconds for each job: the best round, which is what the
code takes, and the median. The other checkout may be any commit:

    git worktree add --detach ../before COMMIT
    (cd ../before && python build/make_guest.py)
    python benchmarks/against.py ../before

Jobs that run in one process disturb each other's caches and collections: --job TEXT --times N measures one alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
LOOP = "(let loop ((i 0)) (if (< i 50) (begin {} (loop (+ i 1)))))"
_IN_PLACE = f"import os, runpy, sys; sys.path.insert(0, os.getcwd()); runpy.run_path({__file__!r}, run_name='__main__')"
CALL = '(llm-query #:instruction "q")'


async def serve() -> None:
    """The process of one checkout: for every line on standard input the CPU time of each job, in µs."""
    import rlm_wasm
    from rlm_wasm import Completion, CompletionRequest, Limits, Runtime

    if not Path(rlm_wasm.__file__).is_relative_to(Path.cwd()):
        raise SystemExit(f"rlm_wasm is that of {rlm_wasm.__file__}, not of {Path.cwd()}")

    class Provider:
        free = inline = True

        async def complete(self, request: CompletionRequest) -> Completion:
            return Completion(text="yes", model="at-once", prompt_tokens=10, completion_tokens=5)

    async with Runtime(provider=Provider(), limits=Limits(calls=1_000_000)) as runtime:
        runtime.host_function("add")(lambda a, b: a + b)

        def warm(source: str) -> Callable[[], Awaitable[object]]:
            session = runtime.session()
            return lambda: session.execute(source)

        async def fresh() -> None:
            async with runtime.session() as session:
                await session.execute("(+ 1 2)")

        vm_speed = runpy.run_path(str(HERE / "benchmarks/vm_speed.py"), run_name="vm_speed")
        jobs: dict[str, tuple[Callable[[], Awaitable[object]], int]] = {
            "a new session and (+ 1 2)": (fresh, 60),
            "a warm (+ 1 2)": (warm("(+ 1 2)"), 150),
            "an inline llm-query": (warm(CALL), 60),
            "a host function": (warm("(add 1 2)"), 60),
            "50 llm-queries in a loop": (warm(LOOP.format(CALL)), 2),
            "an unbound variable": (warm("(foo 1)"), 2),
            **{f"vm: {name}": (warm(source), 1) for name, source in vm_speed["SCHEME"].items()},
        }
        only, times = sys.argv[sys.argv.index("--serve") + 1 :]
        jobs = {name: (job, count * int(times)) for name, (job, count) in jobs.items() if only in name}
        for job, count in jobs.values():
            for _ in range(count):
                await job()
        for _ in sys.stdin:
            taken = {}
            for name, (job, count) in jobs.items():
                started = time.process_time()
                for _ in range(count):
                    await job()
                taken[name] = (time.process_time() - started) / count * 1e6
            print(json.dumps(taken), flush=True)


def compare(other: Path, rounds: int, only: str, times: int) -> None:
    """Print the table."""
    command = [sys.executable, "-c", _IN_PLACE, "--serve", only, str(times)]
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, text=True) for folder in (other, HERE)
    ]
    samples: list[dict[str, list[float]]] = [{}, {}]
    for _ in range(rounds):
        for process, sample in zip(both, samples, strict=True):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            for name, taken in json.loads(process.stdout.readline()).items():
                sample.setdefault(name, []).append(taken)
    for process in both:
        process.communicate()
    print(f"{'':28}{'there: best':>12}{'median':>9}{'here: best':>12}{'median':>9}{'here/there':>12}")
    for name in samples[0]:
        there, here = samples[0][name], samples[1][name]
        figures = (min(there), statistics.median(there), min(here), statistics.median(here))
        shown = "".join(
            f"{figure:>{width}.1f}" for figure, width in zip(figures, (12, 9, 12, 9), strict=True)
        )
        print(f"{name:28}{shown}{min(here) / min(there):>12.2f}")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve())
    else:
        parser = argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("folder", type=Path)
        parser.add_argument("--rounds", type=int, default=40)
        parser.add_argument("--job", default="", help="only those with this in their names")
        parser.add_argument("--times", type=int, default=1, help="so much as often in each round")
        options = parser.parse_args()
        compare(options.folder, options.rounds, options.job, options.times)
