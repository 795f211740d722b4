"""What a session keeps besides its guest's memory: the body of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rlm_wasm.asking.progress import Progress
from rlm_wasm.errors import SnapshotCorrupt, UsageError
from rlm_wasm.execution.state import SchedulerState
from rlm_wasm.limits import Limits
from rlm_wasm.llm.budget import BudgetState
from rlm_wasm.providers.base import Completion
from rlm_wasm.records import Natural, structure
from rlm_wasm.sandbox.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class SessionState:
    """All of it. Texts are shared with the session that it was taken of; nothing else is."""

    scheduler: SchedulerState
    contexts: tuple[tuple[str | None, str], ...]
    context_replaced: bool
    """Whether the guest has yet to be told of the main context."""
    limits_told: bool
    """Whether the guest knows its limits and the host functions."""
    budget: BudgetState
    limits: Limits
    log: tuple[dict[str, Any], ...]
    python: bytes | None
    context_hashes: tuple[tuple[str | None, str], ...] = ()
    """Contexts that are kept beside the snapshot, by their SHA-256: only in a store."""
    runs: Natural = 0
    """Runs of the guest of a durable session until then, as its journal counts them."""
    checksum: Natural = 0
    """Of all that the guest has said since the session began, likewise."""
    asked: tuple[tuple[str, Completion], ...] = ()
    """Answers to what recursive calls under way are made of, by idempotency key."""
    asking: tuple[str, ...] = ()
    """Such calls that were sent, and whose answers had not come."""
    inquiry: Progress | None = None
    """The last question that was asked of a durable session."""


def state_of(snapshot: Snapshot) -> SessionState:
    """A snapshot's body, checked where it came as bytes. Raises SnapshotCorrupt.

    Of a request in flight that nobody signed, it is not believed that it was never served.
    """
    body = snapshot.body
    if isinstance(body, SessionState):
        return body
    try:
        state = structure(SessionState, body, "the snapshot", SnapshotCorrupt)
    except UsageError as error:  # Limits that cannot be
        raise SnapshotCorrupt(f"the snapshot: {error}") from error
    if snapshot.trusted:
        return state
    requests = state.scheduler.requests
    doubted = replace(
        requests, requests=tuple(replace(request, started=True) for request in requests.requests)
    )
    return replace(state, scheduler=replace(state.scheduler, requests=doubted))
