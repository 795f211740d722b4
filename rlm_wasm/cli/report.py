"""Prints a Result: for people, or as one JSON object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlm_wasm.cli.exits import message_of_error
from rlm_wasm.cli.terminal import echo, echo_json, is_terminal
from rlm_wasm.results import summary

if TYPE_CHECKING:
    from rlm_wasm.results import ErrorInfo, Result


def print_json(value: dict[str, Any]) -> None:
    """One object on standard output, and nothing else."""
    echo_json(value)


def error_object(error: BaseException) -> dict[str, Any]:
    """What --json prints where there is no Result."""
    return {
        "status": "error",
        "error": {"type": type(error).__name__, "message": message_of_error(error)},
    }


def print_result(result: Result, *, source: str, name: str, quiet: bool, streamed: bool = False) -> None:
    """The program's output and value on standard output; everything else on standard error.

    ``streamed``: its output was written already, as it came.
    """
    if result.stdout and not streamed:
        echo(result.stdout.removesuffix("\n"))
    if result.ok and result.value and not result.value_printed:
        echo(result.value)
    if result.error is not None:
        print_error(result.error, source=source, name=name)
    if result.rolled_back:
        note("everything that this program did was undone: its instance was lost")
    if result.truncated:
        note(f"cut at the output limit: {', '.join(result.truncated)}")
    for warning in result.warnings:
        note(f"warning: {warning}")
    if not quiet and is_terminal(err=True) and result.execution.calls:
        note(summary(result.execution))


def print_error(error: ErrorInfo, *, source: str, name: str, frames: int | None = 12) -> None:
    """The message, its place on a line of its own, that line with a caret, and frames of the backtrace."""
    echo("error: ", fg="red", bold=True, err=True, nl=False)
    line, column = error.line, error.column or 1
    echo(str(error if line is None else replace(error, line=None, column=None)), err=True)
    if line is not None:
        own = error.source in (None, "", "program", name)
        echo(f"  --> {name if own else error.source}:{line}:{column}", err=True)
        lines = source.splitlines()
        if own and 0 < line <= len(lines):
            _excerpt(lines[line - 1], line, column)
    for frame in error.backtrace[:frames]:
        echo(f"  in {frame}", err=True)


def _excerpt(line: str, number: int, column: int) -> None:
    """The line with a caret under the column; of a long line the part around it."""
    start = max(0, column - 60)
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + 100])
    margin = f"{number:>5} | "
    echo(f"{margin}{shown}", err=True)
    echo(" " * (len(margin) + max(0, column - 1 - start)) + "^", err=True)


def note(text: str) -> None:
    """A line of ours on standard error."""
    echo(f"rlm-wasm: {text}", dim=True, err=True)
