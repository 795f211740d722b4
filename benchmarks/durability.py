"""Durable sessions: kill -9 at every suspension of a fan-out, and what the journal costs.

    python benchmarks/durability.py kill [CALLS] [STEP]     a process that dies at each STEP-th suspension
    python benchmarks/durability.py cost                    executions with a journal and without

``kill`` runs tests/durable/fan_out.py: CALLS (200) calls at once and a recursive call with children. It
dies at the N-th time that its guest waits and is resumed by another process, for N = 1, 1 + STEP … until
it comes to its end before that. Printed for each N: calls sent and answered, those answered twice (there
are none), and whether the result is the right one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rlm_wasm import Runtime
from rlm_wasm.testing import InlineProvider

ROOT = Path(__file__).parents[1]
FAN_OUT = ROOT / "tests" / "durable" / "fan_out.py"
SPREAD_S = 0.3
"""Answers come over so many seconds, nearly each by itself."""


def run(folder: Path, calls: int, kill_at: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    store, log = f"sqlite:///{folder / 'state.db'}", str(folder / "calls.log")
    command = [sys.executable, str(FAN_OUT), store, log, str(calls), str(kill_at), str(SPREAD_S)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def kill(calls: int, step: int) -> None:
    right = ",".join(f"[{number}]" for number in range(calls)) + ";[a]+[b]+[c]"
    twice = wrong = 0
    kill_at = 1
    print(f"{'killed at':>9} {'sent':>5} {'answered':>8} {'twice':>5}  result")
    while True:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            first = run(folder, calls, kill_at)
            if first.returncode != -signal.SIGKILL:
                break
            ended = run(folder, calls, 0)
            said = Counter(line.rsplit(" ", 1)[0] for line in (folder / "calls.log").read_text().splitlines())
        sent = sum(count for line, count in said.items() if line.startswith("sent"))
        answered = [count for line, count in said.items() if line.startswith("answered")]
        again = sum(count > 1 for count in answered)
        fine = ended.stdout.startswith(f"finished {right}\n")
        twice, wrong = twice + again, wrong + (not fine)
        print(
            f"{kill_at:>9} {sent:>5} {sum(answered):>8} {again:>5}  {'right' if fine else ended.stderr[-200:]}"
        )
        kill_at += step
    print(
        f"killed at {(kill_at - 1) // step} of {kill_at - 1} suspensions: {twice} calls answered twice, {wrong} wrong results"
    )
    sys.exit(1 if twice or wrong else 0)


async def cost() -> None:
    fan_out = "(map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (range 200)) 1"
    programs = {"(+ 1 2)": 200, '(llm-query #:instruction "q")': 100, "200 calls": 10}
    print(f"{'':<32} {'without':>10} {'durable':>10}")
    with tempfile.TemporaryDirectory() as name:
        store = f"sqlite:///{Path(name) / 'state.db'}"
        async with Runtime(InlineProvider(), store=store, durable=True, python="off") as runtime:
            for program, times in programs.items():
                figures = []
                for session in (runtime.session(), runtime.session(name=f"s{len(program)}")):
                    source = fan_out if program == "200 calls" else program
                    await session.execute(source)
                    took = []
                    for _ in range(times):
                        start = time.perf_counter()
                        await session.execute(source)
                        took.append(time.perf_counter() - start)
                    figures.append(statistics.median(took) * 1e3)
                    await session.aclose()
                print(f"{program:<32} {figures[0]:>7.3f} ms {figures[1]:>7.3f} ms")
            start = time.perf_counter()
            session = await runtime.resume("s9")
            print(f"taken up again, with its journal {(time.perf_counter() - start) * 1e3:>18.3f} ms")
            await session.aclose()


if __name__ == "__main__":
    if sys.argv[1:2] == ["kill"]:
        kill(*[int(number) for number in (sys.argv[2:] + ["200", "1"][len(sys.argv) - 2 :])])
    elif sys.argv[1:] == ["cost"]:
        asyncio.run(cost())
    else:
        sys.exit(__doc__)
