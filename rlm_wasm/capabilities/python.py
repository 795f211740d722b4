"""What py-exec and py-eval need: the protocol of a Python back end, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

from rlm_wasm.lazy_dataclass import dataclass


def _nothing() -> None:
    """The value of a call that gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonReply:
    """What a Python back end answers: a value, what was printed, and the fuel that it took."""

    encoded: bytes = b"\xf6"
    """The value as the Scheme guest reads it. Nobody in between has to make anything of it."""
    decode: Callable[[], Any] = _nothing
    """Makes the value, for who wants to have it."""
    stdout: str = ""
    stderr: str = ""
    fuel: int = 0
    note: str = ""
    """Something that the guest has to know, such as what was lost with a killed instance."""

    @property
    def value(self) -> Any:
        """The value, made anew each time."""
        return self.decode()


class WhenDone(Protocol):
    """A reply that comes later. Whoever does not await it closes it: then its call is stopped."""

    def __await__(self) -> Generator[Any, None, PythonReply]: ...

    def close(self) -> None:
        """Nobody wants it. Idempotent."""
        ...


class PythonBackend(Protocol):
    """Where py-exec and py-eval go. One back end belongs to one session.

    ``begin`` and ``run`` raise PythonFailure for what the code raised and LimitExceeded where its fuel or
    time was used up; after either the back end stays usable.
    """

    name: str

    def begin(
        self, operation: str, arguments: Sequence[Any] | bytes, *, fuel: int, timeout_s: float
    ) -> PythonReply | WhenDone:
        """operation: "exec" or "eval" (code), "set" (name, value), "call" (object, method, argument …).

        ``arguments`` may be the array that the Scheme guest sent, not decoded. The reply itself where it came
        within a moment, for which the event loop is kept.
        """
        ...

    async def run(
        self, operation: str, arguments: Sequence[Any] | bytes, *, fuel: int, timeout_s: float
    ) -> PythonReply:
        """The same for who waits for it in any case."""
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
