"""Prints a Result: for people, or as one JSON object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlm_wasm.cli.exits import message_of_error
from rlm_wasm.cli.terminal import echo, echo_json, is_terminal
from rlm_wasm.results import used_line

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
        note(used_line(result.execution))


def print_error(error: ErrorInfo, *, source: str, name: str, frames: int | None = 12) -> None:
    """The message, its place on a line of its own, that line with a caret, and frames of the backtrace."""
    echo("error: ", fg="red", bold=True, err=True, nl=False)
    line = error.line
    echo(str(error if line is None else replace(error, line=None, column=None)), err=True)
    own = error.source in (None, "", "program", name)
    print_place(
        source if own else "", name=name if own else str(error.source), line=line, column=error.column
    )
    for frame in error.backtrace[:frames]:
        echo(f"  in {frame}", err=True)


def print_place(source: str, *, name: str, line: int | None, column: int | None, err: bool = True) -> None:
    """The place, and its line of the source with a caret under the column; of a long line a part."""
    if line is None:
        return
    column = column or 1
    echo(f"  --> {name}:{line}:{column}", err=err)
    lines = source.split("\n")  # as the guest counts them: form feeds and the like end none
    if not 0 < line <= len(lines):
        return
    start = max(0, column - 60)
    shown = "".join(c if c.isprintable() else " " for c in lines[line - 1][start : start + 100])
    margin = f"{line:>5} | "
    echo(f"{margin}{shown}", err=err)
    echo(" " * (len(margin) + max(0, column - 1 - start)) + "^", err=err)


def note(text: str) -> None:
    """A line of ours on standard error."""
    echo(f"rlm-wasm: {text}", dim=True, err=True)
