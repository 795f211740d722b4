"""``rlm-wasm run``: one program, from a file, standard input or the command line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rlm_wasm.cli import completion, exits
from rlm_wasm.cli.accounts import Accounts
from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.inputs import chosen_program, read_contexts
from rlm_wasm.cli.options import RuntimeOptions, program_options, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.report import error_object, note, print_json, print_result
from rlm_wasm.errors import RlmError
from rlm_wasm.named_sessions import default_store_url, leave, open_named

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractContextManager

    from rlm_wasm.results import Result
    from rlm_wasm.session import Session

R = TypeVar("R", bound="Result")
T = TypeVar("T")


@click.command(cls=Command)
@program_options(
    "A text for the program's context; - is standard input; a folder or a quoted glob gives every file "
    "as a named context. May be repeated with names."
)
@click.option(
    "--session",
    "kept",
    metavar="NAME",
    shell_complete=completion.sessions,
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
    source, name = chosen_program(program, expression)
    texts = read_contexts(contexts, stdin_taken=program == "-")
    shown = Shown(source, name, as_json=as_json, quiet=quiet)
    display = Display(quiet=quiet, plain=plain, output=not as_json)
    try:
        if kept is not None:
            options = options.for_session(kept)
        elif log == "store":
            options = replace(options, store=options.store or default_store_url())
        accounts = Accounts(log, report, options, trace=trace)
        check = not no_check
        work = _execute(
            source, texts, kept, options, shown, check=check, name=name, display=display, accounts=accounts
        )
        result, kept_it = run_to_its_end(work)
    except RlmError as error:
        if not as_json or shown.done:
            raise
        print_json(error_object(error))
        note(exits.message_of_error(error))
        ctx.exit(exits.status_of_error(error))
    ctx.exit(exits.status_of_result(result, kept=kept_it))


class Shown:
    """Prints the result as soon as it is there: nothing that fails afterwards takes it away."""

    def __init__(self, source: str, name: str, *, as_json: bool, quiet: bool) -> None:
        self._source = source
        self._name = name
        self._as_json = as_json
        self._quiet = quiet
        self.done = False

    def __call__(self, result: Result) -> None:
        """Print it."""
        self.done = True
        if self._as_json:
            print_json(result.to_dict())
            return
        if result.status == "cancelled":
            note("interrupted")
        print_result(result, source=self._source, name=self._name, quiet=self._quiet, streamed=True)


async def _execute(
    source: str,
    texts: Mapping[str | None, str],
    kept: str | None,
    options: RuntimeOptions,
    show: Callable[[Result], None],
    *,
    check: bool,
    name: str,
    display: Display,
    accounts: Accounts,
) -> tuple[Result, bool]:
    """The result, and whether the session is kept as it was to be."""
    async with accounts, options.runtime(accounts.readers) as runtime:
        opened = (
            runtime.session()
            if kept is None
            else await open_named(runtime, kept, limits=options.limits, notify=note)
        )
        async with opened as session:
            for key, text in texts.items():
                await session.load_context(text, key)
            display.when_nobody_reads(session.cancel)
            with display:
                execution = session.execute(
                    source, on_progress=display, on_output=display.output, name=name, check=check
                )
                result = await interruptibly(session, execution)
            show(result)
        return result, session.kept


def run_to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``; SIGTERM ends it as Ctrl-C does, at any moment.

    A process that is ended while a session is opened or saved would take its lease with it: nobody could go
    on for as long as that lasts.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    try:
        return asyncio.run(work)
    finally:
        signal.signal(signal.SIGTERM, before)


async def interruptibly(session: Session, execution: Awaitable[R]) -> R:
    """Await an execution that Ctrl-C ends; a named session's is left in the store in its middle first."""
    if session.name is None:
        with cancelling_on_interrupt(session):
            return await execution
    leaving: set[asyncio.Task[None]] = set()

    def begin() -> None:
        leaving.add(asyncio.ensure_future(leave(session, note)))

    with on_interrupt(begin, signal.SIGINT, signal.SIGTERM):
        result = await execution
    for task in leaving:
        await task
    return result


def cancelling_on_interrupt(session: Session) -> AbstractContextManager[None]:
    """Ctrl-C cancels the execution, whose Result then says so; a second one ends the process."""
    return on_interrupt(session.cancel, signal.SIGINT)


@contextlib.contextmanager
def on_interrupt(act: Callable[[], None], *signals: signal.Signals) -> Iterator[None]:
    """The first of these signals does something else than to end the process; the next cancels the work."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in signals}

    def interrupted() -> None:
        restore()
        act()

    def restore() -> None:
        for number in signals:
            loop.remove_signal_handler(number)
            if before[number] is not None and threading.current_thread() is threading.main_thread():
                signal.signal(number, before[number])  # else the next one would raise wherever it comes

    try:
        for number in signals:
            loop.add_signal_handler(number, interrupted)
    except (NotImplementedError, RuntimeError):
        # Windows, or not the main thread: asyncio.run's own handling cancels the task instead.
        yield
        return
    try:
        yield
    finally:
        restore()
