"""What the user hands in: programs, contexts, sizes, counts. Every mistake gets a usage error."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any, Final

import click

from rlm_wasm.cli.report import note
from rlm_wasm.context_files import Loaded, is_pattern, load_path

_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "kib": 1 << 10,
    "m": 10**6,
    "mb": 10**6,
    "mib": 1 << 20,
    "g": 10**9,
    "gb": 10**9,
    "gib": 1 << 30,
}
_QUANTITY: Final = re.compile(r"\s*(\d[\d_,]*(?:\.\d+)?(?:e\d+)?)\s*([kmg]?i?b?)\s*", re.IGNORECASE)
_NAMED: Final = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


class Quantity(click.ParamType[int]):
    """A whole number with an optional unit: 100_000, 1e9, 5M, 256MiB."""

    def __init__(self, name: str, *, minimum: int = 0) -> None:
        self.name = name
        self._minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error that shows what was given."""
        if isinstance(value, int):
            return value
        match = _QUANTITY.fullmatch(str(value))
        unit = _UNITS.get(match.group(2).lower()) if match else None
        if match is None or unit is None:
            self.fail(f"{value!r} is no number such as 100000, 5M or 256MiB", param, ctx)
        number = int(float(match.group(1).replace("_", "").replace(",", "")) * unit)
        if number < self._minimum:
            self.fail(f"must be at least {self._minimum}, got {value}", param, ctx)
        return number


class Measure(click.FloatRange):
    """A number that is one: not nan, which is neither more nor less than anything."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error that shows what was given."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


def read_program(path: str) -> str:
    """A program's text from a file, or from standard input for "-"."""
    name = "standard input" if path == "-" else path
    text = decoded(read_bytes(path), name)
    if not text.strip():
        raise click.UsageError(f"{name} is empty: there is no program to run")
    return text


def chosen_program(program: str | None, expression: str | None, *, purpose: str = "run") -> tuple[str, str]:
    """The text and the name of the one program that a command is given: as a file, or as -e EXPR."""
    if (program is None) == (expression is None):
        raise click.UsageError("give one program: a file, - for standard input, or -e EXPR")
    if expression is None:
        assert program is not None
        return read_program(program), "stdin" if program == "-" else program
    if not expression.strip():
        raise click.UsageError(f"-e is empty: there is no program to {purpose}")
    return expression, "-e"


def read_contexts(
    options: tuple[str, ...], *, stdin_taken: bool, name_all: bool = False
) -> dict[str | None, str]:
    """Texts by name, None for the one without, from FILE, DIR or GLOB, each with NAME= before it or not.

    "-" is standard input. A folder or glob gives every file with text as a context of its name; what it
    leaves out is said on standard error. ``name_all``: of several files without a name, each has its path.
    """
    loaded = Loaded()
    plain = [path for name, path in map(_split, options) if name is None and not _is_several(path)]
    for option in options:
        name, path = _split(option)
        if path == "-" and stdin_taken:
            raise click.UsageError("standard input can be read only once")
        stdin_taken = stdin_taken or path == "-"
        if _is_several(path):
            load_path(loaded, path, name=name)
            continue
        if name is None and name_all and len(plain) > 1:
            name = "standard input" if path == "-" else path
        if name in loaded.texts:
            which = "without a name" if name is None else f"named {name}"
            raise click.UsageError(f"two contexts {which}: give them different names, --context NAME={path}")
        loaded.add(name, decoded(read_bytes(path), "standard input" if path == "-" else path))
    for left_out in loaded.notes:
        note(left_out)
    return loaded.texts


def _is_several(path: str) -> bool:
    return path != "-" and is_pattern(path)


def _split(option: str) -> tuple[str | None, str]:
    """``NAME=FILE``, unless a file of that whole name exists."""
    match = _NAMED.fullmatch(option)
    if match and not Path(option).exists():
        return match.group(1), match.group(2)
    return None, option


def read_arguments(options: tuple[str, ...]) -> dict[str, str]:
    """What ``--arg NAME=VALUE`` gives, by name. The value is all behind the first =."""
    given: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        name = name.strip()
        if not equals or not name:
            raise click.UsageError(f"--arg takes NAME=VALUE, not {option!r}")
        if name in given:
            raise click.UsageError(f"--arg {name} is given twice")
        given[name] = value
    return given


def read_bytes(path: str) -> bytes:
    """A file's bytes, or a usage error that says why it cannot be read."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(f"cannot read {path}: {reason}") from None


def decoded(data: bytes, name: str) -> str:
    """UTF-8 text; what isn't is a usage error that names the first bad byte and its place."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start + (len(data) - len(error.object))  # the codec may have cut a BOM off
        line = data.count(b"\n", 0, at) + 1
        raise click.UsageError(
            f"{name} is not UTF-8 text: byte {at:,} (0x{data[at]:02x}, line {line:,}): {error.reason}"
        ) from None
