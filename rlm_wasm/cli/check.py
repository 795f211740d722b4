"""``rlm-wasm check``: what is wrong with a program, without running any of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from rlm_wasm.cli import exits
from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.inputs import chosen_program, read_contexts
from rlm_wasm.cli.options import RuntimeOptions, program_options, runtime_options
from rlm_wasm.cli.report import error_object, note, print_json, print_place
from rlm_wasm.cli.terminal import echo
from rlm_wasm.data import json_form
from rlm_wasm.errors import RlmError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_wasm.results import Problem


@click.command(cls=Command)
@program_options("As for run.")
@runtime_options
@click.option("--json", "as_json", is_flag=True, help="Print the problems as one JSON object.")
@click.pass_context
def check(
    ctx: click.Context,
    /,
    program: str | None,
    expression: str | None,
    contexts: tuple[str, ...],
    *,
    as_json: bool,
    options: RuntimeOptions,
) -> None:
    """Check a Scheme program without running it.

    PROGRAM is a file; "-" reads standard input, and -e EXPR takes the text itself.

    Each problem is printed on standard output with its place: names that nothing defines, calls with a
    wrong number of arguments or an unknown keyword, patterns that do not compile, LLM calls that the
    model would refuse. Exit status: 0 nothing is certain to fail, 1 something is, 2 usage, 3 limit,
    5 internal error. With --json: {"ok": …, "problems": [{severity, message, line, column, hint}, …]}.
    """
    source, name = chosen_program(program, expression, purpose="check")
    texts = read_contexts(contexts, stdin_taken=program == "-")
    try:
        problems = asyncio.run(_check(source, texts, options))
    except RlmError as error:
        if not as_json:
            raise
        print_json(error_object(error))
        note(exits.message_of_error(error))
        ctx.exit(exits.status_of_error(error))
    fails = any(problem.severity == "error" for problem in problems)
    if as_json:
        print_json({"ok": not fails, "problems": json_form(list(problems))})
    else:
        _show(problems, source=source, name=name)
    ctx.exit(exits.GUEST_ERROR if fails else exits.OK)


async def _check(
    source: str, texts: Mapping[str | None, str], options: RuntimeOptions
) -> tuple[Problem, ...]:
    async with options.runtime() as runtime, runtime.session() as session:
        for name, text in texts.items():
            await session.load_context(text, name)
        return await session.check(source)


def _show(problems: tuple[Problem, ...], *, source: str, name: str) -> None:
    for problem in problems:
        fails = problem.severity == "error"
        echo(f"{problem.severity}: ", fg="red" if fails else "yellow", bold=True, nl=False)
        echo(str(problem).removeprefix(f"{problem.severity}: "))
        print_place(source, name=name, line=problem.line, column=problem.column, err=False)
    if not problems:
        note("no problems found")
