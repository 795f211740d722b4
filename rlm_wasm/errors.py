"""Every exception that rlm-wasm raises stands in this file, and nothing else does.

    RlmError
    ├── GuestError                 the program's own error (run() and friends with check=True)
    │   └── GuestSyntaxError       it could not be read or expanded
    ├── LimitExceeded              kind, used, limit
    ├── CapabilityDenied           the guest asked for what it was not granted
    ├── ProviderError              an LLM call failed: status, retryable
    │   ├── ProviderTimeout
    │   ├── RateLimited            retry_after_s
    │   └── MissingKey             names the variable to set and the keyless alternative
    ├── SnapshotError
    │   ├── SnapshotVersionError   made by another format or another guest image
    │   └── SnapshotCorrupt        cut, altered, or no snapshot at all
    ├── StoreError                 the store cannot be reached, read or written
    ├── SandboxCrashed             the instance trapped; the session was rolled back
    ├── SessionClosed
    ├── UsageError                 the caller's own mistake (also a ValueError)
    └── InternalError              a defect of rlm-wasm: please report it

``Session.execute`` reports guest errors and limits in the Result. It raises only for the
caller's own mistakes and for InternalError.
"""

from __future__ import annotations


class RlmError(Exception):
    """The root of the tree."""


class GuestError(RlmError):
    """The program ended with an error of its own."""


class GuestSyntaxError(GuestError):
    """The program could not be read or expanded."""


class LimitExceeded(RlmError):
    """A limit fired. ``kind`` is the field of Limits."""

    def __init__(self, kind: str, used: float, limit: float, message: str | None = None) -> None:
        self.kind = kind
        self.used = used
        self.limit = limit
        super().__init__(message or f"limit exceeded: {kind} (used {used:,}, limit {limit:,})")


class CapabilityDenied(RlmError):
    """The guest asked for an operation that its session was not granted."""


class ProviderError(RlmError):
    """An LLM call failed.

    ``status`` is the HTTP status where there was one; ``retryable`` says whether the same call
    may succeed later.
    """

    def __init__(self, message: str, *, status: int | None = None, retryable: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable


class ProviderTimeout(ProviderError):
    """The provider did not answer in time."""

    def __init__(self, message: str, *, status: int | None = None, retryable: bool = True) -> None:
        super().__init__(message, status=status, retryable=retryable)


class RateLimited(ProviderError):
    """The provider refused for now."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = 429,
        retryable: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, retryable=retryable)
        self.retry_after_s = retry_after_s


class MissingKey(ProviderError):
    """The provider needs a key that is not set."""


class SnapshotError(RlmError):
    """A snapshot cannot be used."""


class SnapshotVersionError(SnapshotError):
    """The snapshot was made by another format version or another guest image."""


class SnapshotCorrupt(SnapshotError):
    """The bytes are no snapshot, or a damaged one."""


class StoreError(RlmError):
    """The store cannot be reached, read or written."""


class SandboxCrashed(RlmError):
    """The instance trapped and is gone. Sessions recover from it by themselves."""


class SessionClosed(RlmError):
    """The session or its runtime was closed."""


class UsageError(RlmError, ValueError):
    """The caller's own mistake: an unknown option, a bad value, two executions at once."""


class InternalError(RlmError):
    """A defect of rlm-wasm itself."""


class PythonFailure(RlmError):
    """The Python code raised.

    The message's first line is the exception; those after it name Python's lines, the innermost last.
    ``kind`` is the exception's class, ``traceback`` Python's own text, ``frames`` one text each, the
    innermost first.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "Exception",
        traceback: str = "",
        frames: tuple[str, ...] = (),
        fuel: int = 0,
    ) -> None:
        super().__init__(message)
        self.frames = frames
        self.kind = kind
        self.traceback = traceback
        self.fuel = fuel


class Unencodable(RlmError):
    """A Python value has no form in Scheme, or what came from the guest none in Python."""


class Crash(SandboxCrashed):
    """The instance trapped and is gone. ``reason``: "fuel", "timeout", "stack" or "trap"."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class MessageTooLarge(RlmError):
    """The guest has no room for a message of this length. Nothing happened to it."""

    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(f"the guest has no room for a message of {length:,} bytes")
