"""What py-exec and py-eval need: the protocol of a Python back end, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonReply:
    """What a Python back end answers: a value, what was printed, and the fuel that it took."""

    value: Any = None
    stdout: str = ""
    stderr: str = ""
    fuel: int = 0
    note: str = ""
    """Something that the guest has to know, such as what was lost with a killed instance."""


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
