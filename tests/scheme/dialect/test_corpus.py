"""Programs of the dialect against what Racket prints, and wrong programs against reviewed messages.

The files lie in tests/corpus: ``dialect/NAME.rkt`` with what Racket 8.7 printed in ``NAME.expected``; ``programs``,
a hundred data programs as they are written for it, likewise (``python tests/proof compare programs`` runs them in a
Racket that is installed); ``errors/NAME.scm`` with the error's golden text. ``python tests/scheme/dialect/test_corpus.py``
writes the golden texts anew; read the difference before it is committed.
"""

from __future__ import annotations

import asyncio
import json
from itertools import zip_longest
from pathlib import Path

import pytest

from rlm_wasm import Result, Runtime
from rlm_wasm.testing import EchoProvider

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
PROGRAMS = sorted((CORPUS / "dialect").glob("*.rkt"))
DATA_PROGRAMS = sorted((CORPUS / "programs").glob("*.rkt"))
MISTAKES = sorted((CORPUS / "errors").glob("*.scm"))

DIFFERENT: dict[str, str] = json.loads((CORPUS / "programs" / "different.json").read_text(encoding="utf-8"))
"""Data programs that print something else, and the one line of it (see docs/language.md): the order of a table, an error
of the other style, a table with strings as keys is JSON, ``finish`` cannot be defined, which ends the program."""


def error_text(result: Result) -> str:
    """What somebody reads who has to repair the program."""
    error = result.error
    if error is None:
        return f"no error: {result.status} {result.value}\n"
    place = f" (line {error.line}, column {error.column})" if error.line else ""
    lines = [f"{error.type}{place}", error.message]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    lines += [f"in {frame}" for frame in error.backtrace or ()]
    return "\n".join(lines) + "\n"


def a_runtime() -> Runtime:
    """One whose models repeat what they are told."""
    return Runtime(provider=EchoProvider(), python="off")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
async def test_the_program_prints_what_racket_prints(program: Path) -> None:
    """To the byte."""
    async with a_runtime() as runtime:
        result = await runtime.run(program.read_text(encoding="utf-8"))
    assert result.error is None
    assert result.stdout == program.with_suffix(".expected").read_text(encoding="utf-8")


async def test_a_hundred_data_programs_print_what_racket_prints() -> None:
    """To the byte, one after the other in sessions of one runtime, but for the few that are known to differ."""
    assert len(DATA_PROGRAMS) == 100
    different: dict[str, list[str]] = {}
    async with a_runtime() as runtime:
        for program in DATA_PROGRAMS:
            result = await runtime.run(program.read_text(encoding="utf-8"))
            expected = program.with_suffix(".expected").read_text(encoding="utf-8")
            if result.error is not None:
                different[program.stem] = [result.error.message]
            elif result.stdout != expected:
                lines = zip_longest(result.stdout.split("\n"), expected.split("\n"))
                different[program.stem] = [str(printed) for printed, wanted in lines if printed != wanted]
    assert different == {name: [line] for name, line in DIFFERENT.items()}


@pytest.mark.parametrize("program", MISTAKES, ids=lambda path: path.stem)
async def test_the_message_says_what_to_repair(program: Path) -> None:
    """As reviewed."""
    async with a_runtime() as runtime:
        result = await runtime.run(program.read_text(encoding="utf-8"))
    assert error_text(result) == program.with_suffix(".expected").read_text(encoding="utf-8")


async def write_golden() -> None:
    """The error texts as they are now."""
    async with a_runtime() as runtime:
        for program in MISTAKES:
            result = await runtime.run(program.read_text(encoding="utf-8"))
            program.with_suffix(".expected").write_text(error_text(result), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(write_golden())
