"""What an outcome means for the shell, and how an error is put into one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_wasm.errors import (
    CapabilityDenied,
    ExecutionCancelled,
    GuestError,
    LimitExceeded,
    ProviderError,
    RlmError,
    SessionClosed,
    SnapshotError,
    StoreError,
    UsageError,
)

if TYPE_CHECKING:
    from rlm_wasm.results import Result

OK = 0
GUEST_ERROR = 1
USAGE = 2
LIMIT = 3
PROVIDER = 4
INTERNAL = 5
NOT_KEPT = 6
INTERRUPTED = 130

_BY_STATUS = {
    "finished": OK,
    "ok": OK,
    "error": GUEST_ERROR,
    "limit": LIMIT,
    "cancelled": INTERRUPTED,
}


def status_of_result(result: Result, *, kept: bool = True) -> int:
    """The exit status for a Result. An LLM call's failure that the program let through is 4.

    Where the program did its work and only its session could not be ``kept``, it is 6: the result counts,
    and standard error says what is lost.
    """
    if result.ok and not kept:
        return NOT_KEPT
    if result.error is not None and result.error.type == "exn:fail:llm":
        return PROVIDER
    return _BY_STATUS[result.status]


def status_of_error(error: BaseException) -> int:
    """The exit status for what was raised instead of a Result."""
    if isinstance(error, UsageError | SnapshotError | StoreError | CapabilityDenied | SessionClosed):
        return USAGE
    if isinstance(error, ProviderError):
        return PROVIDER
    if isinstance(error, LimitExceeded):
        return LIMIT
    if isinstance(error, GuestError):
        return GUEST_ERROR
    if isinstance(error, ExecutionCancelled):
        return INTERRUPTED
    return INTERNAL


def message_of_error(error: BaseException) -> str:
    """One line for people. What is no RlmError is a defect, and says so."""
    if isinstance(error, RlmError) and status_of_error(error) != INTERNAL:
        return str(error)
    name = "" if isinstance(error, RlmError) else f"{type(error).__name__}: "
    return (
        f"internal error: {name}{error}\n"
        "This is a defect of rlm-wasm. RLM_WASM_DEBUG=1 shows where it comes from."
    )
