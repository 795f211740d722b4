"""``rlm-wasm run``: one program, from a file, standard input or the command line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from rlm_wasm.cli import exits
from rlm_wasm.cli.accounts import Accounts
from rlm_wasm.cli.inputs import read_contexts, read_program
from rlm_wasm.cli.options import RuntimeOptions, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.report import error_object, note, print_json, print_result
from rlm_wasm.errors import RlmError
from rlm_wasm.named_sessions import NamedSession, default_store_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from rlm_wasm.results import Result
    from rlm_wasm.session import Session


@click.command()
@click.argument("program", required=False)
@click.option("--expression", "-e", "expression", metavar="EXPR", help="The program's text itself.")
@click.option(
    "--context",
    "-c",
    "contexts",
    multiple=True,
    metavar="[NAME=]FILE",
    help="A text for the program's context; - is standard input. May be repeated with names.",
)
@click.option(
    "--session",
    "kept",
    metavar="NAME",
    help="Go on from what the session of this name has defined, and keep what this run defines.",
)
@runtime_options
@click.option("--no-check", is_flag=True, help="Don't look for mistakes before the first LLM call is sent.")
@click.option(
    "--log",
    "log",
    metavar="FILE.jsonl|URL",
    help="Where to write all that happens, prompts and answers too: a file, a store's URL, or the word"
    " store for that of --store.",
)
@click.option("--report", metavar="FILE.html", help="Write a page that shows the run; it works offline.")
@click.option("--trace", is_flag=True, help="Calls and fibers on stderr, as they go.")
@click.option("--plain", is_flag=True, help="Progress as lines, at most one a second.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as one JSON object.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no words of the program on stderr.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    program: str | None,
    expression: str | None,
    contexts: tuple[str, ...],
    kept: str | None,
    *,
    no_check: bool,
    log: str | None,
    report: str | None,
    trace: bool,
    plain: bool,
    as_json: bool,
    quiet: bool,
    options: RuntimeOptions,
) -> None:
    """Run a Scheme program.

    PROGRAM is a file; "-" reads standard input, and -e EXPR takes the text itself.

    What the program prints goes to standard output as it comes, and last its value. Exit
    status: 0 finished, 1 error in the program, 2 usage, 3 limit, 4 LLM provider, 5 internal
    error, 6 finished, but the session could not be kept, 130 interrupted.
    """
    if (program is None) == (expression is None):
        raise click.UsageError("give one program: a file, - for standard input, or -e EXPR")
    if expression is not None:
        source, name = expression, "-e"
        if not source.strip():
            raise click.UsageError("-e is empty: there is no program to run")
    else:
        assert program is not None
        source, name = read_program(program), "stdin" if program == "-" else program
    texts = read_contexts(contexts, stdin_taken=program == "-")
    if kept is not None or log == "store":
        options = replace(options, store=options.store or default_store_url())
    accounts = Accounts(log, report, options, trace=trace)
    display = Display(quiet=quiet, plain=plain, output=not as_json)
    try:
        work = _execute(
            source, texts, kept, options, check=not no_check, name=name, display=display, accounts=accounts
        )
        result, kept_it = asyncio.run(work)
    except RlmError as error:
        if not as_json:
            raise
        print_json(error_object(error))
        note(exits.message_of_error(error))
        ctx.exit(exits.status_of_error(error))
    if as_json:
        print_json(result.to_dict())
    else:
        if result.status == "cancelled":
            note("interrupted")
        print_result(result, source=source, name=name, quiet=quiet, streamed=True)
    ctx.exit(exits.status_of_result(result, kept=kept_it))


async def _execute(
    source: str,
    texts: Mapping[str | None, str],
    kept: str | None,
    options: RuntimeOptions,
    *,
    check: bool,
    name: str,
    display: Display,
    accounts: Accounts,
) -> tuple[Result, bool]:
    """The result, and whether the session is kept as it was to be."""
    async with accounts, options.runtime(accounts.readers) as runtime:
        named = None
        if kept is not None:
            named = NamedSession(options.opened_store().sessions, kept, notify=note)
        opened = runtime.session() if named is None else await named.open(runtime)
        async with opened as session:
            for key, text in texts.items():
                await session.load_context(text, key)
            display.when_nobody_reads(session.cancel)
            with display:
                execution = session.execute(
                    source, on_progress=display, on_output=display.output, name=name, check=check
                )
                result = await interruptibly(session, execution, named)
        accounts.log_trouble(runtime.log_trouble)
        return result, named is None or named.kept


async def interruptibly(session: Session, execution: Awaitable[Result], named: NamedSession | None) -> Result:
    """Await an execution that Ctrl-C ends; a named session's is saved in its middle first."""
    if named is None:
        with cancelling_on_interrupt(session):
            return await execution
    interrupting: set[asyncio.Task[None]] = set()
    with on_interrupt(lambda: interrupting.add(asyncio.ensure_future(named.interrupt(session)))):
        result = await named.execute(session, execution)
    for task in interrupting:
        await task
    return result


def cancelling_on_interrupt(session: Session) -> AbstractContextManager[None]:
    """Ctrl-C cancels the execution, whose Result then says so; a second one ends the process."""
    return on_interrupt(session.cancel)


@contextlib.contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C does something else than to end the process."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        act()

    try:
        loop.add_signal_handler(signal.SIGINT, interrupted)
    except (NotImplementedError, RuntimeError):
        # Windows, or not the main thread: asyncio.run's own handling cancels the task instead.
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
