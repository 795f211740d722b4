"""Prints a Result: for people, or as one JSON object."""

from __future__ import annotations

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


def print_result(result: Result, *, source: str, name: str, quiet: bool) -> None:
    """The program's output and value on standard output; everything else on standard error."""
    if result.stdout:
        echo(result.stdout.removesuffix("\n"))
    if result.ok and result.value:
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


def print_error(error: ErrorInfo, *, source: str, name: str) -> None:
    """The message, the line that it is about with a caret, and the backtrace."""
    echo("error: ", fg="red", bold=True, err=True, nl=False)
    echo(str(error), err=True)
    if error.source in (None, "", "program"):
        print_excerpt(source, name=name, line=error.line, column=error.column)
    for frame in error.backtrace[:12]:
        echo(f"  in {frame}", err=True)


def print_excerpt(source: str, *, name: str, line: int | None, column: int | None, err: bool = True) -> None:
    """A line of the source with a caret under the column; of a long line the part around it."""
    lines = source.splitlines()
    if line is None or not 0 < line <= len(lines):
        return
    column = column or 1
    start = max(0, column - 60)
    shown = "".join(c if c.isprintable() else " " for c in lines[line - 1][start : start + 100])
    margin = f"{line:>5} | "
    echo(f"  --> {name}:{line}:{column}", err=err)
    echo(f"{margin}{shown}", err=err)
    echo(" " * (len(margin) + max(0, column - 1 - start)) + "^", err=err)


def note(text: str) -> None:
    """A line of ours on standard error."""
    echo(f"rlm-wasm: {text}", dim=True, err=True)
