"""Process-cold start: python benchmarks/cold_start.py [--json] [--rounds N]

``python -c`` that imports rlm_wasm and runs one expression, caches filled, less the bare interpreter's start; then
where every millisecond of it goes: by step of such a process, and by what it imports. Medians, in milliseconds; the
imports are the least of all rounds, each module without those that it imports itself.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

WHOLE = "import rlm_wasm and run (+ 1 2)"
PROGRAMS = {
    "bare interpreter": "pass",
    "import asyncio": "import asyncio",
    "import rlm_wasm": "import rlm_wasm",
    "import rlm_wasm.runtime": "import rlm_wasm.runtime",
    WHOLE: "import asyncio, rlm_wasm; assert asyncio.run(rlm_wasm.Runtime('echo').run('(+ 1 2)')).value == '3'",
}

STEPS = """
import time
marks = [("", time.perf_counter())]
def mark(step):
    marks.append((step, time.perf_counter()))
import asyncio
mark("import asyncio")
import rlm_wasm.sandbox.c_api
mark("find and load wasmtime's library")
import rlm_wasm.runtime
mark("import rlm_wasm")
from rlm_wasm.sandbox.engine import Engine
Engine.shared()
mark("map the compiled guest")
async def main():
    mark("start the event loop")
    async with rlm_wasm.runtime.Runtime("echo") as runtime:
        session = runtime.session()
        mark("make a Runtime and a session")
        assert (await session.execute("(+ 1 2)")).value == "3"
        mark("run (+ 1 2)")
    mark("close both")
asyncio.run(main())
mark("end the event loop")
import json
print(json.dumps([(step, (at - before) * 1e3) for (_, before), (step, at) in zip(marks, marks[1:])]))
"""
STARTED = "start and end the interpreter, with all that was imported"
SHARES = {
    "rlm_wasm": "rlm_wasm",
    "asyncio": "asyncio",
    "wasmtime": "wasmtime",
    "cbor2": "cbor2",
}
"""Imports by the packages that they belong to; the rest is Python's own."""


@functools.cache
def with_bytecode() -> dict[str, str]:
    """The environment of a process that finds its modules compiled, as those of installed packages are."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder.name}


def run(program: str, *options: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Milliseconds of wall clock that it took, and what it said."""
    command = [sys.executable, *options, "-c", program]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, env=with_bytecode(), capture_output=True, text=True)
    return (time.perf_counter() - started) * 1e3, done


def measure(rounds: int) -> dict[str, float]:
    """The programs, each in turn."""
    samples: dict[str, list[float]] = {title: [] for title in PROGRAMS}
    for program in PROGRAMS.values():
        run(program)
    for _ in range(rounds):
        for title, program in PROGRAMS.items():
            samples[title].append(run(program)[0])
    return {title: statistics.median(taken) for title, taken in samples.items()}


def steps(rounds: int) -> dict[str, float]:
    """What such a process does one after the other."""
    samples: dict[str, list[float]] = {}
    run(STEPS)
    for _ in range(rounds):
        whole, done = run(STEPS)
        told = dict(json.loads(done.stdout))
        for step, took in {**told, STARTED: whole - sum(told.values())}.items():
            samples.setdefault(step, []).append(took)
    return {step: statistics.median(taken) for step, taken in samples.items()}


def imports(rounds: int) -> dict[str, tuple[float, int]]:
    """What its imports take by package, and how many modules they are."""
    least: dict[str, float] = {}
    run(PROGRAMS[WHOLE])
    for _ in range(rounds):
        for line in run(PROGRAMS[WHOLE], "-X", "importtime")[1].stderr.splitlines():
            found = re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", line)
            if found:
                least[found[2]] = min(least.get(found[2], 1e9), int(found[1]) / 1e3)
    shares: dict[str, tuple[float, int]] = {}
    for module, took in least.items():
        package = SHARES.get(module.partition(".")[0], "Python's own")
        so_far, count = shares.get(package, (0.0, 0))
        shares[package] = so_far + took, count + 1
    return shares


def main() -> None:
    """Print the tables, or what they hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the figures")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each")
    options = parser.parse_args()
    figures, by_step, by_import = (
        measure(options.rounds),
        steps(options.rounds),
        imports(options.rounds),
    )
    if options.json:
        print(json.dumps({"programs": figures, "steps": by_step, "imports": by_import}))
        return
    bare = figures["bare interpreter"]
    for title, figure in figures.items():
        print(f"{title:35} {figure:7.1f} ms   {figure - bare:+7.1f} ms beyond bare")
    print("\n| step | ms |\n|---|---|")
    for step, took in by_step.items():
        print(f"| {step} | {took:.1f} |")
    print("\n| imports of | ms | modules |\n|---|---|---|")
    for package, (took, count) in sorted(by_import.items(), key=lambda item: -item[1][0]):
        print(f"| {package} | {took:.1f} | {count} |")


if __name__ == "__main__":
    main()
