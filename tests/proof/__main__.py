"""The long proofs: ``python tests/proof sweep|fuzz|compare|soak``. Exit status 1 where something was found.

python tests/proof sweep [--runs N]        the Nth thing fails, for every N (or N of each), in every program
python tests/proof fuzz [--seconds S] [--seed N] [--keep] [core|data|ways|border]
python tests/proof compare [--seconds S] [--seed N] [racket|programs|decimals|doubles|conversions]
python tests/proof soak [--executions N] [--at-once N] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "build"), str(ROOT)]

from proof import compare, fuzz, soak, sweep  # noqa: E402
from proof.programs import PROGRAMS  # noqa: E402

FUZZERS = ["core", "data", "ways", "border"]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sweeping = commands.add_parser("sweep")
    sweeping.add_argument("--runs", type=int, default=None, help="so many of each, instead of all")
    fuzzing = commands.add_parser("fuzz")
    fuzzing.add_argument("which", nargs="*", choices=[*FUZZERS, []], default=[], metavar="|".join(FUZZERS))
    fuzzing.add_argument("--seconds", type=float, default=60.0, help="for each")
    fuzzing.add_argument("--seed", type=int, default=None)
    fuzzing.add_argument(
        "--keep", action="store_true", help="let inputs that led somewhere new stay in the corpora"
    )
    comparing = commands.add_parser("compare")
    comparing.add_argument(
        "which",
        nargs="*",
        choices=[*compare.COMPARISONS, []],
        default=[],
        metavar="|".join(compare.COMPARISONS),
    )
    comparing.add_argument("--seconds", type=float, default=60.0, help="for each")
    comparing.add_argument("--seed", type=int, default=None)
    soaking = commands.add_parser("soak")
    soaking.add_argument("--executions", type=int, default=100_000)
    soaking.add_argument("--at-once", type=int, default=50, help="open sessions")
    soaking.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.command == "sweep":
        return asyncio.run(_sweep(options.runs))
    if options.command == "fuzz":
        seed = random.randrange(1 << 32) if options.seed is None else options.seed
        return _fuzz(options.which or FUZZERS, options.seconds, seed, options.keep)
    if options.command == "compare":
        seed = random.randrange(1 << 32) if options.seed is None else options.seed
        return _compare(options.which, options.seconds, seed)
    return _soak(options.executions, options.at_once, options.seed)


async def _sweep(runs: int | None) -> int:
    found = 0
    for name, every in sweep.SWEEPS.items():
        started, count = time.monotonic(), 0
        # Fuel is counted in millions: all N of one program would take days.
        most = runs or (400 if name == "fuel" else None)
        for program, source in PROGRAMS.items():
            try:
                async for _ in every(source, runs=most):
                    count += 1
            except sweep.Anomaly as anomaly:
                found += 1
                print(f"{name}, {program}: {anomaly}")
        print(f"{name}: {count:,} runs of {len(PROGRAMS)} programs, {time.monotonic() - started:.0f} s")
    return min(found, 1)


def _compare(which: list[str], seconds: float, seed: int) -> int:
    """Those that are named must run; without names what cannot run here is said and left out."""
    found = 0
    for name in which or compare.COMPARISONS:
        try:
            report = compare.run(name, fuzz.Clock(seconds=seconds), seed)
        except compare.NoRacketError as error:
            print(f"{name}: not compared: {error}")
            found += bool(which)
            continue
        found += _said(name, report, seed)
    return min(found, 1)


def _said(name: str, report: fuzz.Report, seed: int) -> int:
    print(f"{name}: {report.tried:,} inputs from seed {seed}, {len(report.found)} findings")
    for source, problem in report.found:
        print(f"---- input\n{source}\n---- {problem}")
    return len(report.found)


def _fuzz(which: list[str], seconds: float, seed: int, keep: bool) -> int:
    found = 0
    for name in which:
        clock = fuzz.Clock(seconds=seconds)
        if name == "core":
            report = fuzz.core(clock, seed)
        elif name == "data":
            report = fuzz.data(clock, seed, keep)
        else:
            report = asyncio.run((fuzz.ways if name == "ways" else fuzz.border)(clock, seed))
        found += _said(name, report, seed)
    return min(found, 1)


def _soak(executions: int, at_once: int, seed: int) -> int:
    figures = asyncio.run(soak.soak(executions, at_once=at_once, seed=seed, say=print))
    print(f"{figures.executions:,} executions in {figures.sessions:,} sessions: {dict(figures.statuses)}")
    print(f"memory grew by {figures.growth / soak.MIB:.1f} MiB after the first half")
    for wrong in figures.wrong:
        print(wrong)
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
