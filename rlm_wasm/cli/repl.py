"""``rlm-wasm repl``: a session to talk to.

History, multi-line input until it is balanced, completion of bound names; Ctrl-C cancels what runs,
Ctrl-D ends it. ``_`` is the last value.
"""

from __future__ import annotations

import asyncio
import difflib
import re
import secrets
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rlm_wasm.cli import completion
from rlm_wasm.cli.accounts import Trace
from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.inputs import decoded, read_bytes, read_contexts
from rlm_wasm.cli.kept import Shelf
from rlm_wasm.cli.options import RuntimeOptions, contexts_option, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.prompt import prompt_session
from rlm_wasm.cli.reading import forms, read_state, uses
from rlm_wasm.cli.report import note, print_error, print_result
from rlm_wasm.cli.run import cancelling_on_interrupt
from rlm_wasm.cli.terminal import echo, echo_json, is_terminal
from rlm_wasm.errors import RlmError, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.named_sessions import open_named
from rlm_wasm.results import used_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rlm_wasm.results import ErrorInfo
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session

_HELP = """\
Type Scheme; a definition stays until ,reset. Enter goes on to the next line while a bracket is open.
(help 'map-async) says what a procedure does, (apropos "string") finds one. _ is the last value.
  ,help                this
  ,save NAME           keep a copy of this session; ,save FILE.scm: write what was typed as a program
  ,load NAME           go on from a copy of a kept session; ,load FILE: run a program file here
  ,context [NAME=]FILE load a text as the context
  ,names [PART]        bound names that contain PART
  ,log                 what crossed the sandbox's border so far
  ,trace               show calls and fibers as they go, or no longer
  ,backtrace           where the last error came from, with all of its lines
  ,state               limits, what was used of them, contexts
  ,reset               forget definitions, contexts and Python's variables
  ,quit                leave (or exit, or Ctrl-D)"""

_WAYS_OUT: Final = {"exit": "exit", "(exit)": "exit", "quit": "quit", "(quit)": "quit"}
"""What is typed to leave, and the name that it stands for if the user has defined one."""
_COMMANDS: Final = tuple(re.findall(r"^  ,(\w+)", _HELP, re.MULTILINE))
_TAKES: Final = {"save": "NAME or FILE.scm", "load": "NAME or FILE", "context": "[NAME=]FILE"}
"""What those commands take that do nothing without."""
_MAX_SHOWN: Final = 1 << 20
"""Characters of earlier entries that are kept, so that errors show their lines."""
_PROGRAMS: Final = (".scm", ".rkt", ".ss")


@click.command(cls=Command)
@contexts_option("Texts to load.")
@click.option(
    "--session",
    "kept",
    metavar="NAME",
    shell_complete=completion.sessions,
    help="Go on from what the session of this name has defined, and keep what this conversation defines.",
)
@runtime_options
def repl(contexts: tuple[str, ...], kept: str | None, *, options: RuntimeOptions) -> None:
    """Talk to a session: type Scheme, see values.

    Input that is no terminal is read to its end and run form by form, without prompts.
    """
    texts = read_contexts(contexts, stdin_taken=True)
    if kept is not None:
        options = options.for_session(kept)
    asyncio.run(_repl(texts, kept, options))


async def _repl(texts: Mapping[str | None, str], kept: str | None, options: RuntimeOptions) -> None:
    async with options.runtime() as runtime:
        session = (
            runtime.session()
            if kept is None
            else await open_named(runtime, kept, limits=options.limits, notify=note)
        )
        conversation = _Conversation(session, Shelf(options, runtime))
        try:
            for name, text in texts.items():
                await session.load_context(text, name)
            conversation.begin()
            if sys.stdin.isatty():
                await conversation.interactive(await _library_names(runtime))
            else:
                await conversation.piped(decoded(sys.stdin.buffer.read(), "standard input"))
        finally:
            await conversation.aclose()


@dataclass(frozen=True, slots=True)
class _Entry:
    """What was typed; whether it ``gave`` a value, the last one until another does, or ``finished``."""

    text: str
    gave: bool
    finished: bool


def _program(entries: Sequence[_Entry]) -> str:
    """The entries as a program.

    It has no last value: where a later entry uses it, ``_`` is defined. ``finish`` would end it, not an
    entry: in those before the last one it leaves its form, with the value.
    """
    wanted = False
    lines: list[str] = []
    for entry in reversed(entries):
        text = _around_last(entry.text, "(let/ec finish {})") if entry.finished and lines else entry.text
        lines.append(_around_last(text, "(define _ {})") if wanted and entry.gave else text)
        wanted = uses(entry.text, "_") or (wanted and not entry.gave)
    if wanted:
        lines.append("(define _ (void))")
    return "\n".join([*reversed(lines), ""])


def _around_last(text: str, put: str) -> str:
    start, end = forms(text)[-1]
    return text[:start] + put.replace("{}", text[start:end]) + text[end:]


class _Conversation:
    """One user and one session, which ``,load`` puts another one in the place of."""

    def __init__(self, session: Session, shelf: Shelf) -> None:
        self._session = session
        self._shelf = shelf
        # What an earlier conversation typed is not here to be shown: its places must not be taken for ours.
        self._mark = f" {secrets.token_hex(2)}" if session.found else ""
        self._entries = 0
        self._texts: dict[str, str] = {}
        """By the name that errors know them by: what was typed and loaded, the newest last."""
        self._succeeded: list[_Entry] = []
        self._written: set[Path] = set()
        self._untrace: Callable[[], None] | None = None
        self._last_error: tuple[ErrorInfo, str, str] | None = None
        """With the program and its name."""
        self._library: list[str] = []
        self._names: list[str] = []

    def begin(self) -> None:
        """Have the last value in a variable."""
        self._session.keep_last_value()

    async def aclose(self) -> None:
        """Close the session, and the store where one was opened."""
        await self._session.aclose()
        await self._shelf.aclose()

    async def interactive(self, library: list[str]) -> None:
        """Prompt, run, print, until Ctrl-D or ,quit."""
        self._library = self._names = library
        prompt = prompt_session(lambda: self._names)
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
            elif await self._is_way_out(text):
                return
            else:
                self._entries += 1
                await self._execute(text, f"entry {self._entries}{self._mark}")
                await self._learn_names()

    async def _is_way_out(self, text: str) -> bool:
        name = _WAYS_OUT.get(text.strip())
        return name is not None and name not in await self._session.definitions()

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
                if await self._is_way_out(pending):
                    return
                await self._execute("\n" * before + pending, f"input{self._mark}", shown=text)
                pending, before = "", number
        if pending.strip() and not await self._is_way_out(pending):
            await self._execute("\n" * before + pending, f"input{self._mark}", shown=text)

    async def _execute(self, source: str, name: str, *, shown: str | None = None) -> None:
        """Run a piece under a name. ``shown``: the whole text that the name stands for."""
        self._remember(name, shown or source)
        try:
            with Display(quiet=False) as display, cancelling_on_interrupt(self._session):
                result = await self._session.execute(
                    source, name=name, on_progress=display, on_output=display.output
                )
        except RlmError as error:
            note(str(error))
            return
        if result.status == "cancelled":
            note("interrupted")
        text, place = shown or source, name
        if result.error is not None:
            # An earlier entry's procedure may be at fault: then the place is in that entry's text.
            place = result.error.source or name
            text = self._texts.get(place, "")
            self._last_error = result.error, text, place
        else:
            gave = result.value != "" or result.data is not None
            finished = result.status == "finished"
            self._succeeded.append(_Entry(source.strip("\n"), gave=gave, finished=finished))
        print_result(result, source=text, name=place, quiet=True, streamed=True)
        if result.execution.calls and is_terminal(err=True):
            note(used_line(result.execution))

    def _remember(self, name: str, text: str) -> None:
        self._texts.pop(name, None)
        self._texts[name] = text
        total = sum(map(len, self._texts.values()))
        while total > _MAX_SHOWN and len(self._texts) > 1:
            total -= len(self._texts.pop(next(iter(self._texts))))

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
            await self._load(rest)
        elif word == "save" and rest:
            await self._save(rest)
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
            self._succeeded.clear()
            self.begin()
            note("everything is forgotten")
        elif word == "help":
            echo(_HELP)
        elif word in _TAKES:
            raise UsageError(f",{word} {_TAKES[word]}: say which")
        else:
            near = difflib.get_close_matches(word, _COMMANDS, n=1)
            meant = f": did you mean ,{near[0]}?" if near else ""
            raise UsageError(f"there is no command ,{word}{meant or '; ,help lists them'}")

    async def _load(self, name: str) -> None:
        if Path(name).is_file() or name.endswith(_PROGRAMS) or "/" in name:
            await self._execute(decoded(read_bytes(name), name), name)
            return
        names = await self._shelf.names()
        if name not in names:
            kept = f"; kept are {', '.join(names[:20])}" if names else ""
            raise UsageError(f"there is no file {name}, and no kept session of that name{kept}")
        if self._session.name is not None:
            raise UsageError(
                f"this conversation is the session {self._session.name}, which nothing takes the place of:"
                f" leave, and start rlm-wasm repl --session {name}"
            )
        loaded = await self._shelf.load(name, self._session.namespace)
        traced = self._untrace is not None
        if traced:
            self._toggle_trace()
        await self._session.aclose()
        self._session = loaded
        if traced:
            self._toggle_trace()
        self._succeeded.clear()
        self._mark = f" {secrets.token_hex(2)}"
        self.begin()
        await self._learn_names()
        note(f"this is a copy of session {name}; what changes here is not changed there")

    async def _save(self, name: str) -> None:
        if name.endswith(_PROGRAMS) or "/" in name:
            path = Path(name)
            if path.exists() and path.resolve() not in self._written:
                raise UsageError(f"there is a file {name} already: save under another name")
            try:
                path.write_text(_program(self._succeeded), encoding="utf-8")
            except OSError as error:
                raise UsageError(f"cannot write {name}: {error.strerror}") from None
            self._written.add(path.resolve())
            note(f"{name}: what was typed and failed nowhere; ,load {name} runs it")
            return
        await self._shelf.save(self._session, name)
        note(f"kept: ,load {name}, or rlm-wasm repl --session {name}, goes on from here")

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
