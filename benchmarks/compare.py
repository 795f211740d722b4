"""Against pydantic-monty, CPython, quickjs and mini-racer: python benchmarks/compare.py [--write] [--quick] [--rows KEY,…]

Installs nothing and takes what peers it finds. All interpreters do each thing in the same process, in turn: a
round does every row, and of every row each interpreter's way, so that what else the machine does touches all
alike. A figure is the median over the rounds; where a way takes microseconds a round's sample is the median of
several in a row. --write puts the table into docs/performance.md; --quick takes few samples, to see that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import vm_speed
from compare_ways import CPYTHON, INTERPRETERS, MONTY, OURS, PEERS, QUICKJS, RACER, ROWS, Row, Way, ways

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN = "<!-- written by benchmarks/compare.py: begin -->"
END = "<!-- written by benchmarks/compare.py: end -->"
HEAD = ("", *INTERPRETERS, "over the fastest peer", "target", "met")
SCALE = {"µs": 1e6, "ms": 1e3, "×": 1.0}
#: Distributions whose versions the table names.
DISTRIBUTIONS = ("wasmtime", "pydantic-monty", "quickjs", "mini-racer", "openai")

PROGRAMS_HEAD = ("program", OURS, *(f"over {name}" for name in (MONTY, CPYTHON, QUICKJS, RACER)))

#: A figure by interpreter, in the row's unit.
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found."""

    figures: dict[str, dict[str, float]]
    """By row, in its unit, and interpreter."""
    programs: dict[str, dict[str, float]]
    """Seconds by VM program and language, as vm_speed.py gives them."""


async def sample(way: Way, batch: int) -> float:
    """The median of so many in a row."""
    return statistics.median([await way() for _ in range(batch)])


async def measure(wanted: Collection[str] = tuple(ROWS), *, quick: bool = False) -> Measured:
    """Do the wanted rows."""
    async with AsyncExitStack() as stack:
        rows = await ways(stack, wanted)
        samples: dict[str, dict[str, list[float]]] = {
            key: {name: [] for name in row} for key, row in rows.items()
        }
        for row in rows.values():  # what is done for the first time is another thing
            for way in row.values():
                await way()
        for number in range(1 if quick else max(row.rounds for row in ROWS.values())):
            for key, row in rows.items():
                if number < ROWS[key].rounds:
                    for name, way in row.items():
                        samples[key][name].append(await sample(way, 1 if quick else ROWS[key].batch))
    figures = {
        key: {name: statistics.median(taken) * SCALE[ROWS[key].unit] for name, taken in row.items()}
        for key, row in samples.items()
    }
    found = {}
    if "programs" in wanted:
        found = await vm_speed.measure(1 if quick else 5)
        figures["programs"] = programs(found)
    return Measured(figures, found)


def programs(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The geometric mean of each interpreter's time where ours is 1, over the programs that it can run."""
    means = {OURS: 1.0}
    for name in (*PEERS, CPYTHON):
        if of := vm_speed.ratios(found, name):
            means[name] = 1 / vm_speed.mean(of)
    return means


def missed_by(row: Row, figures: Figures) -> float | None:
    """How many times the target's figure it is; at most 1 where it is met, None where nobody can say."""
    if row.most is not None:
        return figures[OURS] / row.most
    if row.over is None or row.against not in figures:
        return None
    return figures[OURS] / figures[row.against] / row.over


def cells(key: str, figures: Figures) -> tuple[str, ...]:
    """A row of the table."""
    row = ROWS[key]
    peers = [figures[name] for name in PEERS if name in figures]
    missed = missed_by(row, figures)
    return (
        row.title,
        *(shown(figures[name], row.unit) if name in figures else "–" for name in INTERPRETERS),
        f"{figures[OURS] / min(peers):.2f}" if peers else "–",
        row.target,
        "–" if missed is None else "yes" if missed <= 1 else f"no, {missed:.1f}×",
    )


def shown(figure: float, unit: str) -> str:
    """A figure with its unit."""
    return f"{figure:.2f}×" if unit == "×" else f"{figure:,.0f} {unit}"


def table(figures: Mapping[str, Figures]) -> str:
    """In Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *(cells(key, row) for key, row in figures.items() if OURS in row)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def programs_table(found: Mapping[str, Figures]) -> str:
    """The VM programs one by one, in Markdown: milliseconds, and ours over each other's."""
    lines = [PROGRAMS_HEAD, ("---",) * len(PROGRAMS_HEAD)]
    for name, row in found.items():
        ours = row[vm_speed.GUEST]
        over = (
            f"{ours / row[other]:.2f}" if other in row else "–" for other in (MONTY, CPYTHON, QUICKJS, RACER)
        )
        lines.append((name, f"{ours * 1e3:,.0f} ms", *over))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """What it was measured on, and how busy that is."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = [f"{name} {metadata.version(name)}" for name in DISTRIBUTIONS if installed(name)]
    load = "/".join(f"{part:.1f}" for part in os.getloadavg())
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{platform.python_implementation()} {platform.python_version()}, {', '.join(versions)}; "
        f"load (1/5/15 minutes) {load}."
    )


def installed(distribution: str) -> bool:
    """Whether it is in this environment."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def written(page: str, text: str) -> str:
    """The page with the text between its markers."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{PAGE.name} has no line {BEGIN!r} with {END!r} after it")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help=f"put the table into docs/{PAGE.name}")
    parser.add_argument("--quick", action="store_true", help="few samples")
    parser.add_argument(
        "--rows", default=",".join(ROWS), metavar="KEY,…", help=f"only these, of {', '.join(ROWS)}"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the figures: rows in their units, programs in seconds"
    )
    options = parser.parse_args(arguments)
    wanted = options.rows.split(",")
    if unknown := set(wanted) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}: the rows are {', '.join(ROWS)}")
    if options.write and (options.quick or len(wanted) < len(ROWS)):
        parser.error("--write is for the whole table, with all samples: leave --quick and --rows away")
    measured = asyncio.run(measure(wanted, quick=options.quick))
    if options.json:
        print(json.dumps({"rows": measured.figures, "programs": measured.programs}))
        return 0
    text = f"{table(measured.figures)}\n\n{machine()}"
    if measured.programs:
        text += f"\n\n{programs_table(measured.programs)}"
    print(text)
    if options.write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
