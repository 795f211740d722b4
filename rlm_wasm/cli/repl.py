"""``rlm-wasm repl``: a session to talk to.

History, multi-line input until it is balanced, completion of bound names; Ctrl-C cancels what runs,
Ctrl-D ends it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import click

from rlm_wasm.cli.accounts import Trace
from rlm_wasm.cli.inputs import decoded, read_bytes, read_contexts
from rlm_wasm.cli.options import RuntimeOptions, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.reading import indentation, read_state
from rlm_wasm.cli.report import note, print_error, print_result
from rlm_wasm.cli.run import cancelling_on_interrupt
from rlm_wasm.cli.terminal import echo, echo_json, is_terminal
from rlm_wasm.errors import RlmError
from rlm_wasm.lexer import word_before
from rlm_wasm.results import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prompt_toolkit import PromptSession

    from rlm_wasm.results import ErrorInfo
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session

_HELP = """\
Type Scheme; a definition stays until ,reset. Enter goes on to the next line while a bracket is open.
(help 'map-async) says what a procedure does, (apropos "string") finds one.
  ,help                this
  ,load FILE           run a program file in this session
  ,context [NAME=]FILE load a text as the context
  ,names [PART]        bound names that contain PART
  ,log                 what crossed the sandbox's border so far
  ,trace               show calls and fibers as they go, or no longer
  ,backtrace           where the last error came from, with all of its lines
  ,state               limits, what was used of them, contexts
  ,reset               forget definitions, contexts and Python's variables
  ,quit                leave (or Ctrl-D)"""


@click.command()
@click.option(
    "--context", "-c", "contexts", multiple=True, metavar="[NAME=]FILE|DIR|GLOB", help="Texts to load."
)
@runtime_options
def repl(contexts: tuple[str, ...], *, options: RuntimeOptions) -> None:
    """Talk to a session: type Scheme, see values.

    Input that is no terminal is read to its end and run form by form, without prompts.
    """
    texts = read_contexts(contexts, stdin_taken=True)
    asyncio.run(_repl(texts, options))


async def _repl(texts: Mapping[str | None, str], options: RuntimeOptions) -> None:
    async with options.runtime() as runtime, runtime.session() as session:
        for name, text in texts.items():
            await session.load_context(text, name)
        conversation = _Conversation(session)
        if sys.stdin.isatty():
            await conversation.interactive(await _library_names(runtime))
        else:
            await conversation.piped(decoded(sys.stdin.buffer.read(), "standard input"))


class _Conversation:
    """One user and one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._untrace: Callable[[], None] | None = None
        self._last_error: tuple[ErrorInfo, str, str] | None = None
        """With the program and its name."""
        self._library: list[str] = []
        self._names: list[str] = []

    async def interactive(self, library: list[str]) -> None:
        """Prompt, run, print, until Ctrl-D or ,quit."""
        self._library = self._names = library
        prompt = _prompt_session(lambda: self._names)
        echo("rlm-wasm — ,help for help, Ctrl-D to leave", dim=True)
        while True:
            try:
                text = await prompt.prompt_async("> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if not text.strip():
                continue
            if text.startswith(","):
                if not await self._command(text[1:].strip()):
                    return
            else:
                await self._execute(text)
                await self._learn_names()

    async def piped(self, text: str) -> None:
        """Run each piece of input that is complete by itself, and each comma command.

        Places are those of the whole input: as many empty lines stand before a piece as lines were before it.
        """
        pending, before = "", 0
        for number, line in enumerate(StringIO(text), start=1):
            if line.startswith(",") and not pending.strip():
                if not await self._command(line[1:].strip()):
                    return
                pending, before = "", number
                continue
            pending += line
            if pending.strip() and read_state(pending).complete:
                await self._execute("\n" * before + pending, shown=text)
                pending, before = "", number
        if pending.strip():
            await self._execute("\n" * before + pending, shown=text)

    async def _execute(self, source: str, name: str = "input", *, shown: str | None = None) -> None:
        """Run a piece. ``shown``: the text whose lines an error shows; an earlier piece's may be at fault."""
        try:
            with Display(quiet=False) as display, cancelling_on_interrupt(self._session):
                result = await self._session.execute(source, on_progress=display, on_output=display.output)
        except RlmError as error:
            note(str(error))
            return
        if result.status == "cancelled":
            note("interrupted")
        if result.error is not None:
            self._last_error = result.error, shown or source, name
        print_result(result, source=shown or source, name=name, quiet=True, streamed=True)
        if result.execution.calls and is_terminal(err=True):
            note(summary(result.execution))

    async def _command(self, line: str) -> bool:
        """Run a comma command; False ends the conversation."""
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word in ("quit", "exit", "q"):
            return False
        try:
            await self._run_command(word, rest)
        except click.UsageError as error:
            note(error.format_message())
        except RlmError as error:
            note(str(error))
        return True

    async def _run_command(self, word: str, rest: str) -> None:
        session = self._session
        if word == "load" and rest:
            await self._execute(decoded(read_bytes(rest), rest), rest)
        elif word == "context" and rest:
            for name, text in read_contexts((rest,), stdin_taken=True).items():
                await session.load_context(text, name)
                note(f"{name or 'context'}: {len(text):,} characters")
        elif word == "names":
            echo("\n".join(name for name in self._names if rest in name))
        elif word == "log":
            for entry in session.scope_log():
                echo_json(entry)
        elif word == "trace":
            self._toggle_trace()
        elif word == "backtrace":
            self._print_backtrace()
        elif word == "state":
            await session.definitions()  # from then on its state has them, however many
            echo_json(session.state(), indent=2)
        elif word == "reset":
            await session.reset()
            note("everything is forgotten")
        else:
            if word != "help":
                note(f"unknown command ,{word}")
            echo(_HELP)

    def _toggle_trace(self) -> None:
        if self._untrace is None:
            self._untrace = self._session.subscribe(Trace())
        else:
            self._untrace()
            self._untrace = None
        note(f"trace {'off' if self._untrace is None else 'on'}")

    def _print_backtrace(self) -> None:
        if self._last_error is None:
            note("there was no error so far")
            return
        error, source, name = self._last_error
        print_error(error, source=source, name=name, frames=None)
        if not error.backtrace:
            note("no procedure was under way: it arose at the top level, or in a tail call from there")

    async def _learn_names(self) -> None:
        """The names for completion: the library's and those defined here."""
        try:
            self._names = sorted({*self._library, *await self._session.definitions()})
        except RlmError:
            self._names = self._library


async def _library_names(runtime: Runtime) -> list[str]:
    """What every program finds bound, asked of a session of its own."""
    result = await runtime.run('(apropos "")')
    return sorted(map(str, result.data)) if isinstance(result.data, list) else []


_COLOURS = {
    "pygments.keyword": "ansimagenta",
    "pygments.literal.string": "ansigreen",
    "pygments.literal.number": "ansicyan",
    "pygments.comment": "ansibrightblack",
    "pygments.name.builtin": "ansiyellow",
}
"""Of the terminal's own palette, so that they are read on a light and on a dark one."""


def _prompt_session(names: Any) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.filters import completion_is_selected
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.lexers import PygmentsLexer
    from prompt_toolkit.styles import Style

    from rlm_wasm.lexer import RlmSchemeLexer

    class Names(Completer):
        """Completes the name before the cursor."""

        def get_completions(self, document: Any, complete_event: Any) -> Iterable[Completion]:
            """All names that begin with it."""
            del complete_event
            word = word_before(document.text_before_cursor)
            if word:
                for name in names():
                    if name.startswith(word):
                        yield Completion(name, start_position=-len(word))

    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected)
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text
        at_end = not buffer.document.text_after_cursor.strip()
        if text.startswith(",") or (at_end and read_state(text).complete):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + " " * indentation(buffer.document.text_before_cursor))

    path = _history_path()
    return PromptSession(
        history=FileHistory(path) if path else InMemoryHistory(),
        completer=Names(),
        complete_while_typing=False,
        lexer=None if os.environ.get("NO_COLOR") else PygmentsLexer(RlmSchemeLexer),
        style=Style.from_dict(_COLOURS),
        include_default_pygments_style=False,
        multiline=True,
        key_bindings=keys,
        prompt_continuation=lambda width, _line, _wrapped: " " * width,
    )


def _history_path() -> str | None:
    """The history's file in the user's state folder; None where that cannot be written."""
    import platformdirs

    folder = platformdirs.user_state_path("rlm-wasm")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "history"
        path.touch(mode=0o600)
    except OSError:
        return None
    return str(path)
