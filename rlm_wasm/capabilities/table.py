"""What a guest may ask for: a table from operation to handler, and nothing outside of it.

A handler gets the arguments that the guest sent and returns a value, or an awaitable where it
has to wait. What it raises becomes a condition in the guest. A session's table holds what its
runtime granted; an operation that is not in it is answered with a capability condition.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

from rlm_wasm.errors import (
    CapabilityDenied,
    ForkFailed,
    GuestError,
    LimitExceeded,
    ProgramRefused,
    ProviderError,
    PythonFailure,
    Unencodable,
    UsageError,
)
from rlm_wasm.foreign import described, message_of

Handler = Callable[[list[Any]], Any]


class PackedHandler:
    """A handler that takes large arguments as they came, since it goes through them in its own way.

    ``name`` gives what a log says of such.
    """

    __slots__ = ("_serve", "name", "packed")

    def __init__(self, serve: Handler, packed: Callable[[bytes], Any], name: Callable[[bytes], str]) -> None:
        self._serve = serve
        self.packed = packed
        self.name = name

    def __call__(self, arguments: list[Any]) -> Any:
        """As any handler."""
        return self._serve(arguments)


def now(_arguments: list[Any]) -> float:
    """Milliseconds since 1970."""
    return time.time() * 1000.0


def condition_of(error: BaseException) -> dict[str, Any]:
    """What a handler raised as the guest sees it. Never a traceback of the host's own code."""
    if isinstance(error, CapabilityDenied):
        return {"type": "exn:fail:capability", "message": message_of(error)}
    if isinstance(error, ProviderError):
        return {"type": "exn:fail:llm", "message": message_of(error), "status": error.status}
    if isinstance(error, PythonFailure):
        return {"type": "exn:fail:python", "message": message_of(error), "frames": list(error.frames)}
    if isinstance(error, ForkFailed) and error.line is not None:
        return {"type": error.type, "message": message_of(error), "line": error.line, "column": error.column}
    if isinstance(error, GuestError):
        return {"type": error.type, "message": message_of(error)}
    if isinstance(error, Unencodable):
        return {"type": "exn:fail:contract", "message": message_of(error)}
    if isinstance(error, ProgramRefused):
        return {"type": "exn:fail:refused", "message": message_of(error)}
    if isinstance(error, LimitExceeded | UsageError | IndexError):
        return {"type": "exn:fail:contract", "message": message_of(error)}
    return {"type": "exn:fail", "message": described(error)}


def is_awaitable(value: Any) -> bool:
    """Whether a handler's answer has to be waited for."""
    return inspect.isawaitable(value)
