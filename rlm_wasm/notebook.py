"""Programs in Jupyter notebooks: ``%load_ext rlm_wasm``, then cells that begin with ``%%rlm``.

    %%rlm --model gpt-4o-mini --context text
    (finish (syntax-e (llm-query #:instruction "Summarize" #:data context)))

All cells share one session, so that a definition stays. It lives on an event loop of its own, in a thread:
the notebook's loop is busy while a cell runs. Interrupting the kernel cancels the program, and its calls.
"""

from __future__ import annotations

import asyncio
import html
import shlex
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, Final, TypeVar

from rlm_wasm.errors import RlmError, UsageError
from rlm_wasm.execution.progress import later, progress_line
from rlm_wasm.results import Progress, Result, own_places
from rlm_wasm.runlog.events import Record
from rlm_wasm.runlog.rendering import duration, one_line
from rlm_wasm.runlog.story import RunStory, stories
from rlm_wasm.runtime import Runtime
from rlm_wasm.session import Session

T = TypeVar("T")

POLL_S: Final = 0.2
"""Seconds between two looks at the progress."""
MAX_RECORDS: Final = 100_000
MAX_CALLS: Final = 200
"""Calls that the report of a cell shows."""

_USAGE: Final = """\
%%rlm [--provider P] [--model M] [--base-url U] [--store URL] [--context [NAME=]VARIABLE]... [--timeout S]
      [--into VARIABLE] [--reset]
--provider, --model, --base-url and --store count for the first cell, and after --reset."""
_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#8a8f98")


class Report:
    """What a cell gives: its ``result``, and how it came about, as HTML without any script."""

    def __init__(self, result: Result, story: RunStory | None) -> None:
        self.result = result
        self._story = story

    def __repr__(self) -> str:
        return self.result.value if self.result.ok else f"{self.result.status}: {self.result.error}"

    def _repr_html_(self) -> str:
        story = self._story
        return self.result._repr_html_() + ("" if story is None or not story.calls else _calls(story))


def _calls(story: RunStory) -> str:
    """The calls as bars over time, and as a table. Everything in it is escaped."""
    calls = list(story.calls.values())[:MAX_CALLS]
    begin, end = story.first_at, max(story.last_at, story.first_at + 1e-6)
    models = {name: _COLOURS[min(at, len(_COLOURS) - 1)] for at, name in enumerate(story.models)}
    bars, rows = [], []
    for at, call in enumerate(calls):
        asked, ended = call.queued, call.ended
        x0 = 600 * ((call.sent_at or asked.at) - begin) / (end - begin)
        x1 = 600 * ((end if ended is None else ended.at) - begin) / (end - begin)
        opacity = "0.35" if call.status == "cancelled" else "1"
        stroke = ' stroke="#b3261e" stroke-width="2"' if call.status == "failed" else ""
        label = html.escape(f"call {asked.call}, {call.model}, {call.status}, {duration(call.seconds)}")
        bars.append(
            f'<rect x="{x0:.1f}" y="{at * 8}" width="{max(x1 - x0, 1):.1f}" height="6" '
            f'fill="{models[call.model]}" opacity="{opacity}"{stroke}><title>{label}</title></rect>'
        )
        tokens = 0 if ended is None else ended.prompt_tokens + ended.completion_tokens
        asks = one_line(f"{asked.instruction.text} {asked.data.text}", 80)
        cells = (asked.call, call.model, asked.line or "", call.status, duration(call.seconds), tokens, asks)
        rows.append(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>")
    head = "".join(
        f"<th>{name}</th>" for name in ("call", "model", "line", "status", "took", "tokens", "asked")
    )
    more = len(story.calls) - len(calls)
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return (
        f'<svg role="img" aria-label="{len(calls)} calls over {html.escape(duration(end - begin))}" '
        f'width="600" height="{len(calls) * 8}">{"".join(bars)}</svg>'
        f"<details><summary>{len(story.calls):,} calls</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{rest}</details>"
    )


class Cells:
    """What the cells of one notebook share."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rlm-wasm cells", daemon=True)
        self._thread.start()
        self._runtime: Runtime | None = None
        self._session: Session | None = None
        self._records: list[Record] = []
        self._library: list[str] = []
        self._programs = 0

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _keep(self, record: Record) -> None:
        if len(self._records) < MAX_RECORDS:
            self._records.append(record)

    async def _open(self, options: dict[str, Any]) -> Session:
        if self._session is None:
            self._runtime = Runtime(log=self._keep, **options)
            self._session = self._runtime.session()
        return self._session

    def begin(
        self, source: str, contexts: dict[str | None, str], timeout_s: float | None, options: dict[str, Any]
    ) -> tuple[Future[Result], list[Progress]]:
        """Start a program; its Result will come, and reports of the progress do meanwhile."""
        reports: list[Progress] = []

        def progress(report: Progress) -> None:
            reports[:] = [report]

        async def run() -> Result:
            session = await self._open(options)
            self._records.clear()
            for name, text in contexts.items():
                await session.load_context(text, name)
            self._programs += 1
            # A procedure of an earlier cell may fail: its line is none of this one.
            name = f"program {self._programs}"
            result = await session.execute(source, timeout_s=timeout_s, on_progress=progress, name=name)
            return own_places(result, name)

        return asyncio.run_coroutine_threadsafe(run(), self._loop), reports

    def cancel(self) -> None:
        """End the program that runs."""
        if self._session is not None:
            self._loop.call_soon_threadsafe(self._session.cancel)

    def story(self) -> RunStory | None:
        """What the last program did."""
        return next(iter(reversed(stories(self._records).values())), None)

    def names(self) -> list[str]:
        """What programs find bound, and what they have defined."""
        if self._session is None or self._session.running:
            return self._library

        async def look() -> list[str]:
            session, runtime = self._session, self._runtime
            assert session is not None
            assert runtime is not None
            if not self._library:
                kept = list(self._records)
                result = (await runtime.run('(apropos "")')).data
                self._records[:] = kept
                self._library = sorted(map(str, result)) if isinstance(result, list) else []
            return sorted({*self._library, *await session.definitions()})

        return self._do(look())

    def reset(self) -> None:
        """Forget everything: the next cell begins anew."""

        async def close() -> None:
            runtime, self._runtime, self._session = self._runtime, None, None
            if runtime is not None:
                await runtime.aclose()

        self._do(close())

    def close(self) -> None:
        """Forget everything, and end the thread."""
        self.reset()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def options_of(line: str, variables: dict[str, Any]) -> dict[str, Any]:
    """What stands behind ``%%rlm``, contexts looked up among the notebook's variables.

    Raises UsageError for what is no option.
    """
    options: dict[str, Any] = {"runtime": {}, "contexts": {}, "timeout_s": None, "into": None, "reset": False}
    words = shlex.split(line)
    while words:
        word = words.pop(0)
        if word == "--reset":
            options["reset"] = True
            continue
        known = word in (
            "--provider",
            "--model",
            "--base-url",
            "--store",
            "--context",
            "-c",
            "--timeout",
            "--into",
        )
        if not known or not words:
            raise UsageError(f"%%rlm: {word!r} {'needs a value' if known else 'is no option'}\n{_USAGE}")
        value = words.pop(0)
        if word in ("--context", "-c"):
            name, equals, variable = value.rpartition("=")
            text = variables.get(variable)
            if not isinstance(text, str):
                raise UsageError(
                    f"%%rlm: {word} names a variable that holds a str, and {variable!r} does not"
                )
            options["contexts"][name if equals else None] = text
        elif word == "--timeout":
            try:
                options["timeout_s"] = float(value)
            except ValueError:
                raise UsageError(f"%%rlm: --timeout takes seconds, got {value!r}") from None
        elif word == "--into":
            options["into"] = value
        else:
            options["runtime"][word.removeprefix("--").replace("-", "_")] = value
    return options


_cells: dict[int, Cells] = {}
"""By the shell, of which a process has one."""


def load(shell: Any) -> None:
    """Give an IPython shell the magic, its completion and, in a terminal, its colours."""
    if id(shell) in _cells:
        return
    cells = _cells[id(shell)] = Cells()

    def rlm(line: str, cell: str | None = None) -> Report | None:
        """A program: see rlm_wasm.notebook."""
        return _run_cell(shell, cells, line, cell)

    shell.register_magic_function(rlm, magic_kind="line_cell", magic_name="rlm")
    _complete(shell, cells)
    lexer = getattr(getattr(shell, "pt_app", None), "lexer", None)
    if lexer is not None and hasattr(lexer, "magic_lexers"):
        from prompt_toolkit.lexers import PygmentsLexer

        from rlm_wasm.lexer import RlmSchemeLexer

        lexer.magic_lexers["rlm"] = PygmentsLexer(RlmSchemeLexer)


def unload(shell: Any) -> None:
    """Take the magic away, and close its session."""
    cells = _cells.pop(id(shell), None)
    if cells is not None:
        cells.close()
        for kind in ("line", "cell"):
            shell.magics_manager.magics[kind].pop("rlm", None)


def _run_cell(shell: Any, cells: Cells, line: str, cell: str | None) -> Report | None:
    from IPython.display import display

    try:
        options = options_of(line, shell.user_ns)
        if options["reset"]:
            cells.reset()
        if cell is None or not cell.strip():
            if not options["reset"]:
                print(_USAGE)
            return None
        running, reports = cells.begin(cell, options["contexts"], options["timeout_s"], options["runtime"])
        result = _wait(cells, running, reports, display)
    except RlmError as error:
        print(f"rlm-wasm: {error}")
        return None
    if options["into"] is not None:
        shell.user_ns[options["into"]] = result
    return Report(result, cells.story())


def _wait(cells: Cells, running: Future[Result], reports: list[Progress], display: Any) -> Result:
    """Until the program has ended, with its progress in a line that changes."""
    handle, line_shown = None, ""
    while True:
        try:
            result = running.result(POLL_S)
            break
        except NotYet:
            if running.done():  # the program's own
                raise
        except KeyboardInterrupt:
            cells.cancel()
            continue
        line = progress_line(later(reports[0], 0.0)) if reports else "running"
        if line != line_shown:
            line_shown = line
            content = {"text/plain": line, "text/html": f"<pre>{html.escape(line)}</pre>"}
            if handle is None:
                handle = display(content, raw=True, display_id=True)
            else:
                handle.update(content, raw=True)
    if handle is not None:
        handle.update({"text/plain": "", "text/html": ""}, raw=True)
    return result


def _complete(shell: Any, cells: Cells) -> None:
    """Names of the dialect, in cells that are programs."""
    completer = getattr(shell, "Completer", None)
    if completer is None or not hasattr(completer, "custom_matchers"):
        return
    from IPython.core.completer import SimpleCompletion, context_matcher

    from rlm_wasm.lexer import word_before

    @context_matcher()  # type: ignore[untyped-decorator]
    def names(context: Any) -> Any:
        """All that begin with the word before the cursor."""
        if not context.full_text.lstrip().startswith("%%rlm"):
            return {"completions": []}
        word = word_before(context.line_with_cursor[: context.cursor_position])
        result = [name for name in cells.names() if name.startswith(word)] if word else []
        return {
            "completions": [SimpleCompletion(name) for name in result[:500]],
            "matched_fragment": word,
            "suppress": True,
        }

    completer.custom_matchers.append(names)
