"""What a guest may ask for: a table from operation to handler, and nothing outside of it.

A handler gets the arguments that the guest sent and returns a value, or an awaitable where it
has to wait. What it raises becomes a condition in the guest. A session's table holds what its
runtime granted; an operation that is not in it is answered with a capability condition.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cbor2

from rlm_wasm.errors import CapabilityDenied, LimitExceeded, ProviderError, RlmError, UsageError
from rlm_wasm.protocol import Unencodable

Handler = Callable[[list[Any]], Any]
HostFunction = Callable[..., Any]


# ---- Python


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonReply:
    """What a Python back end answers: a value, what was printed, and the fuel that it took."""

    value: Any = None
    stdout: str = ""
    stderr: str = ""
    fuel: int = 0
    note: str = ""
    """Something that the guest has to know, such as what was lost with a killed instance."""


class PythonFailure(RlmError):
    """The Python code raised. ``traceback`` is the text to show; ``kind`` the exception's class."""

    def __init__(self, message: str, *, kind: str = "Exception", traceback: str = "", fuel: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.traceback = traceback
        self.fuel = fuel


class PythonBackend(Protocol):
    """Where py-exec and py-eval go. One back end belongs to one session.

    ``run`` never blocks the event loop. It raises PythonFailure for what the code raised and
    LimitExceeded where its fuel or time was used up; after either the back end stays usable.
    """

    name: str

    async def run(
        self, operation: str, arguments: Sequence[Any], *, fuel: int, timeout_s: float
    ) -> PythonReply:
        """operation: "exec" or "eval" (code), "set" (name, value), "call" (object, method, argument …)."""
        ...

    def set_context(self, name: str | None, text: str) -> None:
        """A context was loaded: visible in Python as ``context`` (name None) or ``contexts[name]``."""
        ...

    async def reset(self) -> None:
        """Forget every variable."""
        ...

    async def capture(self) -> bytes | None:
        """The variables as bytes for a snapshot, None where that cannot be."""
        ...

    async def restore(self, captured: bytes) -> None:
        """The inverse of capture."""
        ...

    async def aclose(self) -> None:
        """Give everything back. Idempotent."""
        ...


# ---- checkpoints


class CheckpointStore(Protocol):
    """Where checkpoint and restore keep values, by namespace and key. Shared by sessions."""

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write, atomically."""
        ...

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Read; None where there is none."""
        ...

    async def keys(self, namespace: str) -> list[str]:
        """All keys, sorted."""
        ...

    async def aclose(self) -> None:
        """Give everything back. Idempotent."""
        ...


class MemoryStore:
    """Checkpoints that live as long as the runtime."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], bytes] = {}

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write."""
        self._values[namespace, key] = value

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Read."""
        return self._values.get((namespace, key))

    async def keys(self, namespace: str) -> list[str]:
        """All keys, sorted."""
        return sorted(key for space, key in self._values if space == namespace)

    async def aclose(self) -> None:
        """Nothing to give back."""


# ---- contexts


class Contexts:
    """The session's texts. The guest sees slices of them without copying the whole in."""

    _MOST_HITS = 10_000

    def __init__(self) -> None:
        self.texts: dict[str | None, str] = {}

    def load(self, text: str | bytes | bytearray, name: str | None) -> None:
        """Add or replace one. Raises UsageError for what is no text."""
        if name is not None and (not isinstance(name, str) or not name):
            raise UsageError("a context's name must be a non-empty string")
        self.texts[name] = as_text(text, "the context")

    def table(self) -> dict[str, Handler]:
        """The operations."""
        return {
            "context": lambda a: self.texts.get(a[0] or None, False),
            "context-size": self._size,
            "context-length": lambda a: len(self._find(a[0])),
            "context-slice": self._slice,
            "context-lines": self._lines,
            "context-search": self._search,
            "context-names": lambda _a: [name for name in self.texts if name is not None],
        }

    def _find(self, name: str | Literal[False] | None) -> str:
        name = name or None  # the guest says #f for the default one
        text = self.texts.get(name)
        if text is not None:
            return text
        if name is None:
            raise CapabilityDenied("no context is loaded: give one with load_context, or --context FILE")
        known = ", ".join(sorted(n for n in self.texts if n is not None)) or "none"
        raise CapabilityDenied(f"there is no context named {name!r} (loaded: {known})")

    def _size(self, arguments: list[Any]) -> int | Literal[False]:
        text = self.texts.get(arguments[0] or None)
        return False if text is None else len(text)

    def _slice(self, arguments: list[Any]) -> str:
        start, end, name = arguments
        text = self._find(name)
        if not 0 <= start <= end <= len(text):
            raise IndexError(f"context-slice: {start}..{end} is outside of a context of length {len(text)}")
        return text[start:end]

    def _lines(self, arguments: list[Any]) -> list[str]:
        start, end, name = arguments
        text = self._find(name)
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        if not 0 <= start <= end:
            raise IndexError(f"context-lines: {start}..{end} is no range of line numbers (from 0)")
        return [line.removesuffix("\r") for line in lines[start:end]]

    def _search(self, arguments: list[Any]) -> list[list[Any]]:
        pattern, most, name = arguments
        text = self._find(name)
        if not isinstance(pattern, str) or not pattern:
            raise UsageError("context-search: the pattern must be a non-empty string or a regexp")
        found: list[list[Any]] = []
        at = text.find(pattern)
        limit = min(most, self._MOST_HITS) if isinstance(most, int) else self._MOST_HITS
        while at >= 0 and len(found) < limit:
            start = text.rfind("\n", 0, at) + 1
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            found.append([at, text[start : min(end, start + 2000)]])
            at = text.find(pattern, max(end, at + 1))
        return found


def as_text(data: str | bytes | bytearray, what: str) -> str:
    """Text of text or UTF-8. Raises UsageError that names the first bad byte."""
    if isinstance(data, str):
        return data
    if not isinstance(data, bytes | bytearray):
        raise UsageError(f"{what} must be text, got {type(data).__name__}")
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{what} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start:,}"
        ) from error
    if "\0" in text:
        raise UsageError(f"{what} looks binary: it has a NUL byte at offset {text.index(chr(0)):,}")
    return text


# ---- libraries


class LibraryFolders:
    """Scheme libraries that ``import`` may read: these folders, read-only, never outside them."""

    _MOST_BYTES = 4 << 20

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self._folders = [Path(folder).resolve() for folder in folders]
        for folder in self._folders:
            if not folder.is_dir():
                raise UsageError(f"the library folder {folder} does not exist")

    def read(self, arguments: list[Any]) -> str | bool:
        """The text of a file by its relative path; False where there is none."""
        name = arguments[0]
        if not isinstance(name, str) or "\0" in name:
            return False
        for folder in self._folders:
            path = (folder / name).resolve()
            if path.is_relative_to(folder) and path.is_file() and path.stat().st_size <= self._MOST_BYTES:
                return path.read_text(encoding="utf-8", errors="replace")
        return False


# ---- host functions


class HostFunctions:
    """The embedder's own functions, by the name that they have in Scheme."""

    def __init__(self, functions: Mapping[str, HostFunction]) -> None:
        self.functions = dict(functions)

    @property
    def names(self) -> list[str]:
        """What is granted, sorted."""
        return sorted(self.functions)

    def call(self, arguments: list[Any]) -> Any:
        """``[name, argument …]``; keyword arguments come as a Keyword and a value each."""
        from rlm_wasm.values import Keyword

        name, *given = arguments
        function = self.functions.get(name)
        if function is None:
            raise CapabilityDenied(f"the host function {name!r} is not granted to this session")
        positional: list[Any] = []
        named: dict[str, Any] = {}
        items = iter(given)
        for item in items:
            if isinstance(item, Keyword):
                named[str(item).replace("-", "_")] = next(items, None)
            else:
                positional.append(plain(item))
        return function(*positional, **named)


def check_host_function(name: str, function: Any) -> None:
    """Raises UsageError for what cannot be granted under this name."""
    if not isinstance(name, str) or not name or any(c.isspace() or c in "()[]{}\";'`,|#%" for c in name):
        raise UsageError(f"{name!r} is no name for a host function: use letters, digits and -")
    if not callable(function):
        raise UsageError(f"the host function {name!r} must be callable, got {type(function).__name__}")


def plain(value: Any) -> Any:
    """An argument from the guest as Python's own data: void is None."""
    return None if value is cbor2.undefined else value


# ---- the clock


def now(_arguments: list[Any]) -> float:
    """Milliseconds since 1970."""
    return time.time() * 1000.0


# ---- failures as conditions


def condition_of(error: BaseException) -> dict[str, Any]:
    """What a handler raised as the guest sees it. Never a traceback of the host's own code."""
    if isinstance(error, CapabilityDenied):
        return {"type": "exn:fail:capability", "message": str(error)}
    if isinstance(error, ProviderError):
        return {"type": "exn:fail:llm", "message": str(error), "status": error.status}
    if isinstance(error, PythonFailure):
        return {"type": "exn:fail:python", "message": str(error), "trace": error.traceback}
    if isinstance(error, Unencodable):
        return {"type": "exn:fail:contract", "message": str(error)}
    if isinstance(error, LimitExceeded | UsageError | IndexError):
        return {"type": "exn:fail:contract", "message": str(error)}
    return {"type": "exn:fail", "message": f"{type(error).__name__}: {error}"}


def is_awaitable(value: Any) -> bool:
    """Whether a handler's answer has to be waited for."""
    return inspect.isawaitable(value)


AwaitableAny = Awaitable[Any]
