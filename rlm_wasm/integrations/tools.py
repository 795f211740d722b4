"""What a framework's tools do and say, over one session: every framework wraps these in its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rlm_wasm.asking.bounds import SHOWN, bounded
from rlm_wasm.context_files import ContextSource, Loaded, contexts_of
from rlm_wasm.errors import InternalError, RlmError, SessionClosed
from rlm_wasm.integrations.loop_thread import LoopThread
from rlm_wasm.results import used_line
from rlm_wasm.runtime import Runtime

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Answer
    from rlm_wasm.results import Result
    from rlm_wasm.session import Session

T = TypeVar("T")

EXECUTE = (
    "Run a Scheme program (R7RS with Racket's common procedures) in a persistent sandbox. Definitions and "
    'loaded contexts stay. (llm-query #:instruction "…" #:data text) asks a model; (map-async (lambda (x) '
    '(llm-query-async #:instruction "…" #:data x)) items) asks it about many items at once. The data is in '
    '`context` and (get-context "name"): read it by (context-search "text"), (context-slice start end), '
    "(context-chunks size overlap), never copy it into the program. End with (finish value)."
)
ASK = (
    "Answer a question over the loaded contexts, however large: a model writes programs, looks at what they "
    "find, and goes on until one has the answer. Use it where you need an answer and not a program."
)
LOAD = "Load a text into the sandbox, so that programs and questions can be about it."
LIST = "What contexts are loaded, and how long each is."


def shown(result: Result) -> str:
    """A Result for a model: its outcome first, cut where it is long."""
    parts = []
    if result.error is not None:
        parts.append(f"{result.status}: {result.error}")
    elif result.value:
        parts.append(result.in_write_form())
    if result.stdout:
        parts.append(f"stdout:\n{result.stdout.rstrip()}")
    return bounded("\n\n".join(parts) or f"{result.status}, without a value", SHOWN)


def shown_answer(answer: Answer) -> str:
    """An Answer for a model; what was not computed says so first."""
    head = "NOT COMPUTED: " if answer.how == "last word" else ""
    text = answer.value or (str(answer.error) if answer.error else answer.status)
    notes = "".join(f"\nnote: {note}" for note in answer.notes)
    used = f"[{len(answer.steps)} iterations, {used_line(answer.execution)}]"
    return bounded(f"{head}{text}{notes}\n{used}", SHOWN)


class SessionTools:
    """The tools, asynchronous, over one session, one after the other.

    Agents call several at once, and with whatever comes to their minds: what a model did wrong is told to it,
    and never ends the agent.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = asyncio.Lock()

    async def execute_scheme(self, code: str) -> str:
        """Run a program."""

        async def run() -> str:
            return shown(await self._session.execute(code))

        return await self._told(run())

    async def ask(self, question: str) -> str:
        """Answer a question."""

        async def answer() -> str:
            return shown_answer(await self._session.ask(question))

        return await self._told(answer())

    async def load_context(self, text: str, name: str = "") -> str:
        """Load a text."""

        async def load() -> str:
            await self._session.load_context(text, name or None)
            return f"loaded {len(text):,} characters as {name or 'the main context'}"

        return await self._told(load())

    async def _told(self, work: Coroutine[Any, Any, str]) -> str:
        async with self._lock:
            try:
                return await work
            except InternalError:
                raise
            except RlmError as error:
                return f"error: {error}"

    async def list_contexts(self) -> dict[str, Any]:
        """Names and lengths."""
        return {name or "context": len(text) for name, text in self._session.contexts.items()}


class OwnSession:
    """A Runtime with one session on an event loop of its own, for frameworks that call from anywhere.

    ``context`` is loaded into it: as in ``Runtime.ask``. The rest are Runtime's own options. Close it in the
    end; it is a context manager, too.
    """

    def __init__(self, context: ContextSource = None, **runtime_options: Any) -> None:
        """Raises UsageError for what cannot be loaded or granted."""
        loaded = contexts_of(context)
        self._thread = LoopThread("rlm-wasm-tools")
        try:
            self._runtime, self.tools = self._thread.run(self._opened(loaded, runtime_options))
        except BaseException:
            self._thread.close()
            raise
        self.notes = tuple(loaded.notes)

    @staticmethod
    async def _opened(loaded: Loaded, options: dict[str, Any]) -> tuple[Runtime, SessionTools]:
        runtime = Runtime(**options)
        session = runtime.session()
        for name, text in loaded.texts.items():
            await session.load_context(text, name)
        return runtime, SessionTools(session)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """One of the tools' coroutines, from synchronous code. Raises SessionClosed."""
        self._check_open(work)
        return self._thread.run(work)

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """The same from another event loop."""
        self._check_open(work)
        return await self._thread.future(work)

    def _check_open(self, work: Coroutine[Any, Any, Any]) -> None:
        if not self._thread.alive:
            work.close()
            raise SessionClosed("the sandbox of these tools is closed: make another OwnSession")

    def close(self) -> None:
        """Close session, runtime and thread. Idempotent."""
        if self._thread.alive:
            self._thread.run(self._runtime.aclose())
            self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
