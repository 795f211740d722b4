"""Where sessions run that do not run in this process, and a program over many documents.

A Runtime without an executor runs its sessions itself. With one it hands them over, by name: the store is
what both sides know. ``rlm_wasm.ray`` is one.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from rlm_wasm.errors import UsageError

if TYPE_CHECKING:
    from rlm_wasm.results import Result

Document = str | bytes | Mapping[str, str | bytes]
"""What a program of ``Runtime.map`` finds: a text as ``context``, or texts by their names."""

_EXECUTORS: Final = {"ray": "rlm_wasm.ray"}
_REQUEST: Final = "document"
"""The id of the one execution that a document's session has."""


@runtime_checkable
class Executor(Protocol):
    """Runs a Runtime's sessions elsewhere. It may be used by one Runtime."""

    def serve(self, options: Callable[[], dict[str, Any]]) -> None:
        """Be the executor of a Runtime, whose options are these when the first session is opened.

        Raises UsageError for options that cannot be handed over.
        """
        ...

    @property
    def started(self) -> bool:
        """Whether options cannot change any more."""
        ...

    async def documents_at_once(self) -> int:
        """How many sessions are best run at once."""
        ...

    def session(self, name: str, opening: dict[str, Any], *, make: bool, forget: bool) -> Any:
        """The session of that name. ``forget``: it goes from the store when it is closed."""
        ...

    async def aclose(self) -> None:
        """Close its sessions, and give back what it runs them in."""
        ...


def executor_of(given: str | Executor) -> Executor:
    """The executor of that name, or the one that is given.

    Raises UsageError for a name that nobody knows, ModuleNotFoundError where its extra is not installed.
    """
    if isinstance(given, str):
        if given not in _EXECUTORS:
            raise UsageError(f"executor must be one of {', '.join(_EXECUTORS)}, got {given!r}")
        made: Executor = importlib.import_module(_EXECUTORS[given]).executor()
        return made
    if not isinstance(given, Executor):
        raise UsageError(f'executor must be "ray" or an Executor, got {type(given).__name__}')
    return given


def checked_document(document: object, number: int) -> Document:
    """The document. Raises UsageError for what is none."""
    texts = document.values() if isinstance(document, Mapping) else (document,)
    names = document if isinstance(document, Mapping) else ()
    if all(isinstance(text, str | bytes) for text in texts) and all(isinstance(name, str) for name in names):
        return document  # type: ignore[return-value]
    raise UsageError(
        f"map: document {number} must be a text, or texts by their names, not {type(document).__name__}"
    )


def document_name(prefix: str, number: int, program: str, document: Document) -> str:
    """The name of a document's session: another program, or another document, is another session."""
    digest = hashlib.sha256(program.encode(errors="surrogatepass"))
    parts = sorted(document.items()) if isinstance(document, Mapping) else [("", document)]
    for name, text in parts:
        content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
        digest.update(f"\0{len(name)}\0{len(content)}\0{name}\0".encode(errors="surrogatepass"))
        digest.update(content)
    return f"{prefix}/{number:07}-{digest.hexdigest()[:16]}"


class DocumentSession(Protocol):
    """What of a session a program over a document needs."""

    @property
    def name(self) -> str | None:
        """Of a durable one."""
        ...

    @property
    def request(self) -> str | None:
        """The id of its last execution."""
        ...

    async def load_context(self, text: str | bytes, name: str | None = None) -> None:
        """See Session."""
        ...

    async def execute(
        self, source: str, *, timeout_s: float | None = None, request: str | None = None
    ) -> Result:
        """See Session."""
        ...


async def run_document(
    session: DocumentSession, program: str, document: Document, timeout_s: float | None
) -> Result:
    """A program over a document in a session of its own; in a durable one, once.

    Where another process had begun, it goes on, and where it had ended, its Result is given again.
    """
    durable = session.name is not None
    if session.request != _REQUEST:
        texts = document if isinstance(document, Mapping) else {None: document}
        for name, text in texts.items():
            await session.load_context(text, name)
    return await session.execute(program, timeout_s=timeout_s, request=_REQUEST if durable else None)
