"""What a snapshot holds of a running guest on the host's side: records, checked when they come back."""

from __future__ import annotations

from typing import Annotated

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.records import AtLeast, Natural, NonNegative

Positive = Annotated[int, AtLeast(1)]


@dataclass(frozen=True, slots=True)
class RequestState:
    """One request in flight."""

    id: Positive
    operation: str
    arguments: bytes
    """Encoded, as they came."""
    call_number: Natural
    """Of its LLM call, 0 where it has none."""
    started: bool
    """Whether it was served already, so that it would be served a second time."""
    unsettled: bool = False
    """Of a durable session: it was sent, and nobody has counted yet what that may have cost."""


@dataclass(frozen=True, slots=True)
class RequestsState:
    """All of them, and the replies that the guest has not taken."""

    last_id: Natural
    requests: tuple[RequestState, ...]
    replies: tuple[tuple[Positive, bytes], ...]


@dataclass(frozen=True, slots=True)
class TextState:
    """Output so far, and how many bytes of it were dropped."""

    text: str
    dropped: Natural


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """The execution that is under way."""

    out: TextState
    err: TextState
    first_id: Positive
    fuel: Natural
    elapsed_s: NonNegative
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """A guest as its scheduler knows it."""

    status: Natural
    unread: bool
    requests: RequestsState
    execution: ExecutionState | None
