"""VM speed: twenty programs in the guest (fuel on), in this CPython, and in the peers that are installed.

Run: python benchmarks/vm_speed.py [--rounds 5] [--match TEXT] [--json]

Each program lies in benchmarks/programs/ in three languages; its last expression is its answer, and the answers
have to agree. The Python text runs in CPython and, where it can, in pydantic-monty; the JavaScript text in
quickjs and in mini-racer (V8, which compiles to machine code). A round runs a program once in every language,
in turn, so that a drift of the machine's speed touches all of them. Each time is of the text: reading, compiling
and running it in an interpreter that is there already. Ratios are of the medians: below 1.0 the guest is faster.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib
import json
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlm_wasm import Limits, Runtime

FOLDER = Path(__file__).with_name("programs")
GUEST, CPYTHON = "guest", "CPython"

# How to run one text in an interpreter that has just been made: the answer and the seconds it took.
Run = Callable[[], Awaitable[tuple[Any, float]]]


@dataclass(frozen=True, slots=True)
class Program:
    """The same algorithm in each language."""

    scheme: str
    python: str
    javascript: str


def programs() -> dict[str, Program]:
    """All of them, by name."""
    return {
        path.stem: Program(
            *(path.with_suffix(end).read_text(encoding="utf-8") for end in (".scm", ".py", ".js"))
        )
        for path in sorted(FOLDER.glob("*.scm"))
    }


SCHEME = {name: program.scheme for name, program in programs().items()}


def evaluate(text: str) -> Any:
    """What a Python text's last expression gives, in a module of its own."""
    tree = ast.parse(text)
    last = tree.body.pop()
    if not isinstance(last, ast.Expr):
        raise SystemExit("the last line of a program is its answer")
    space: dict[str, Any] = {"__name__": "program"}
    exec(compile(tree, "program", "exec"), space)
    return eval(compile(ast.Expression(last.value), "program", "eval"), space)


def timed(act: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the seconds it takes."""
    started = time.perf_counter()
    answer = act()
    return answer, time.perf_counter() - started


class Languages:
    """The interpreters of this environment; ``names`` has them in the order in which tables show them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._held = ExitStack()
        self._peers: dict[str, Callable[[Program], Any]] = {}
        for name, make in (("monty", self._monty), ("quickjs", self._quickjs), ("mini-racer", self._racer)):
            try:
                self._peers[name] = make()
            except ImportError:
                continue

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are here."""
        return (GUEST, CPYTHON, *self._peers)

    def close(self) -> None:
        """End the processes of peers that have some."""
        self._held.close()

    async def run(self, language: str, program: Program) -> tuple[Any, float]:
        """The answer and the seconds it took; ``NotImplementedError`` where the language cannot run it."""
        if language == GUEST:
            async with self._runtime.session() as session:
                started = time.perf_counter()
                result = await session.execute(program.scheme)
                taken = time.perf_counter() - started
            if not result.ok:
                raise SystemExit(f"the guest says {result.error}")
            return result.value, taken
        if language == CPYTHON:
            return timed(lambda: evaluate(program.python))
        return self._peers[language](program)

    def _monty(self) -> Callable[[Program], Any]:
        monty = importlib.import_module("pydantic_monty")
        pool = self._held.enter_context(monty.Monty())

        def run(program: Program) -> Any:
            with pool.checkout() as session:
                try:
                    return timed(lambda: session.feed_run(program.python))
                except monty.MontyError as error:
                    raise NotImplementedError(str(error)) from error

        return run

    def _quickjs(self) -> Callable[[Program], Any]:
        quickjs = importlib.import_module("quickjs")

        def run(program: Program) -> Any:
            context = quickjs.Context()
            return timed(lambda: context.eval(program.javascript))

        return run

    def _racer(self) -> Callable[[Program], Any]:
        racer = importlib.import_module("py_mini_racer")

        def run(program: Program) -> Any:
            with racer.MiniRacer() as context:
                return timed(lambda: context.eval(program.javascript))

        return run


def same(answers: Mapping[str, Any]) -> bool:
    """Whether all languages give the same number: JavaScript has but one kind of it."""
    return len({float(answer) for answer in answers.values()}) == 1


async def medians(languages: Languages, program: Program, rounds: int) -> dict[str, float]:
    """Seconds by language, of those that can run the program."""
    taken: dict[str, list[float]] = {name: [] for name in languages.names}
    answers: dict[str, Any] = {}
    for _ in range(rounds):
        for name in tuple(taken):
            try:
                answers[name], seconds = await languages.run(name, program)
            except NotImplementedError:
                del taken[name]
            else:
                taken[name].append(seconds)
    if not same(answers):
        raise SystemExit(f"the answers differ: {answers}")
    return {name: statistics.median(samples) for name, samples in taken.items()}


def mean(ratios: Iterable[float]) -> float:
    """The geometric mean."""
    logarithms = [math.log(ratio) for ratio in ratios]
    return math.exp(sum(logarithms) / len(logarithms))


def ratios(found: Mapping[str, Mapping[str, float]], language: str) -> list[float]:
    """Guest over ``language``, of each program that it can run."""
    return [row[GUEST] / row[language] for row in found.values() if language in row]


async def measure(rounds: int, match: str = "", *, show: bool = False) -> dict[str, dict[str, float]]:
    """Medians in seconds, by program and language; with ``show`` printed as they come."""
    found = {}
    async with Runtime(provider="echo", limits=Limits(timeout_s=120)) as runtime:
        languages = Languages(runtime)
        try:
            if show:
                print(
                    f"{'ms':<18}" + "".join(f"{name:>12}" for name in languages.names) + f"{'/CPython':>10}"
                )
            for name, program in programs().items():
                if match in name:
                    found[name] = row = await medians(languages, program, rounds)
                    if show:
                        print(line(name, row, languages.names))
        finally:
            languages.close()
    return found


def line(name: str, row: Mapping[str, float], languages: Iterable[str]) -> str:
    """A program's line of the table."""
    cells = (f"{row[language] * 1e3:>12.1f}" if language in row else f"{'–':>12}" for language in languages)
    return f"{name:<18}" + "".join(cells) + f"{row[GUEST] / row[CPYTHON]:>10.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--match", default="", help="only programs with this in their names")
    parser.add_argument("--json", action="store_true", help="print seconds, by program and language")
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds, options.match, show=not options.json))
    if options.json:
        print(json.dumps(found))
    elif found:
        for language in {language: None for row in found.values() for language in row if language != GUEST}:
            of = ratios(found, language)
            print(f"geometric mean of the guest over {language} ({len(of)} programs): {mean(of):.2f}")


if __name__ == "__main__":
    main()
