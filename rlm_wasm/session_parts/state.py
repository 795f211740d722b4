"""What a session keeps besides its guest's memory: the body of a snapshot."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import cache
from typing import Final, TypeVar

from rlm_wasm.asking.progress import Progress
from rlm_wasm.errors import SnapshotCorrupt, UsageError
from rlm_wasm.execution.state import SchedulerState
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.limits import Limits
from rlm_wasm.llm.budget import BudgetState
from rlm_wasm.llm.calls import PlacedCall
from rlm_wasm.providers.base import Completion
from rlm_wasm.records import Natural, structure, structure_beside
from rlm_wasm.sandbox.blank_state import BLANK
from rlm_wasm.sandbox.snapshot import Image, Snapshot
from rlm_wasm.session_parts.kept_log import KeptLog
from rlm_wasm.session_parts.steps import StepState


@dataclass(frozen=True, slots=True)
class BelowState:
    """Of one session, or of one below it. Texts are shared with the session; nothing else is."""

    scheduler: SchedulerState
    contexts: tuple[tuple[str | None, str], ...]
    context_replaced: bool
    """Whether the guest has yet to be told of the main context."""
    limits_told: bool
    """Whether the guest knows its limits and the host functions."""
    budget: BudgetState
    limits: Limits
    log: KeptLog
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
    counted: tuple[str, ...] = ()
    """Such calls that were counted, and whose answers had not come."""
    programs: tuple[str, ...] = ()
    """Of a durable session: the programs that may have defined something, by the SHA-256 of their texts."""
    programs_whole: bool = False
    """Whether none is missing among them."""
    steps: tuple[StepState, ...] = ()
    """Of a child of a recursive call: what it has done of the call's programs."""
    step: str = ""
    """The one that is under way, by its SHA-256."""
    forked: tuple[tuple[str, bytes], ...] = ()
    """What forks of its program gave that are over, while others of them are not: encoded, by name."""
    inquiry: Progress | None = None
    """The last question that was asked of a durable session."""
    placed: tuple[PlacedCall, ...] = ()
    """Of a durable session: recursive calls whose children are sessions of their own."""


@dataclass(frozen=True, slots=True)
class ChildState:
    """A session below that one, at the same moment."""

    name: str
    """Whose it is: "12.1" the child of call 12, "f7.2" the fork for item 2 of request 7, "f7.start" what
    all of its forks begin from, "12.1/f3.0" a fork
    of that child."""
    memory: Image
    state: BelowState


@dataclass(frozen=True, slots=True)
class SessionState(BelowState):
    """All of it."""

    children: tuple[ChildState, ...] = ()
    """The sessions below it, in any depth."""


def with_children(state: BelowState, children: tuple[ChildState, ...]) -> SessionState:
    """The same with the sessions below it."""
    own = {field.name: getattr(state, field.name) for field in fields(BelowState)}
    return SessionState(**own, children=children)


def without_children(state: BelowState) -> BelowState:
    """The same alone."""
    return BelowState(**{field.name: getattr(state, field.name) for field in fields(BelowState)})


def state_of(snapshot: Snapshot) -> SessionState:
    """A snapshot's body, checked where it came as bytes. Raises SnapshotCorrupt.

    Of a request in flight that nobody signed, it is not believed that it was never served.
    """
    body = snapshot.body
    if isinstance(body, SessionState):
        return body
    try:
        state = structure_beside(blank(), BLANK, body, "the snapshot", SnapshotCorrupt)
    except UsageError as error:  # Limits that cannot be
        raise SnapshotCorrupt(f"the snapshot: {error}") from error
    _check_children(state)
    if snapshot.trusted:
        return state
    for log in (state.log, *(child.state.log for child in state.children)):
        log.check()
    children = tuple(replace(child, state=_doubted(child.state)) for child in state.children)
    return replace(_doubted(state), children=children)


@cache
def blank() -> SessionState:
    """The state beside which snapshots tell theirs."""
    return structure(SessionState, BLANK, "a blank state")


State = TypeVar("State", bound=BelowState)


def _doubted(state: State) -> State:
    requests = state.scheduler.requests
    doubted = replace(
        requests, requests=tuple(replace(request, started=True) for request in requests.requests)
    )
    return replace(state, scheduler=replace(state.scheduler, requests=doubted))


def _check_children(state: SessionState) -> None:
    """Each serves a request that is in flight, and there is one of a name. Raises SnapshotCorrupt."""
    if not state.children:
        return
    states: dict[str, BelowState] = {"": state}
    for child in state.children:
        if child.name in states or _NAME.fullmatch(child.name) is None:
            raise SnapshotCorrupt(f"the snapshot has a session below it that cannot be: {child.name!r:.60}")
        states[child.name] = child.state
    total = sum(child.memory.size for child in state.children)
    most = len(state.children) * _LEAST_MEMORY + state.limits.memory_bytes
    if total > most:
        raise SnapshotCorrupt(
            f"the sessions below the snapshot's have {total:,} bytes of memory; its limit memory_bytes allows"
            f" {most:,}"
        )
    for child in state.children:
        above, _, name = child.name.rpartition("/")
        served = states.get(above)
        if served is None or not any(
            _serves(name, request.id, request.operation, request.call_number)
            for request in served.scheduler.requests.requests
        ):
            raise SnapshotCorrupt(f"the snapshot's session {child.name} serves no request of its")


def names_below(id_: int, operation: str, call_number: int) -> str:
    """How the names of the sessions begin that serve this request; "" where none do."""
    if operation == "fork":
        return f"f{id_}."
    return f"{call_number}." if operation == "llm" and call_number > 0 else ""


def _serves(name: str, id_: int, operation: str, call_number: int) -> bool:
    names = names_below(id_, operation, call_number)
    return bool(names) and name.startswith(names)


_NAME: Final = re.compile(r"(?:(?:[0-9]{1,18}\.1|f[0-9]{1,18}\.(?:[0-9]{1,9}|start))(?:/|\Z))+(?<!/)")
_LEAST_MEMORY: Final = 16 << 20
"""A session below has a guest's image at the least, which is no part of what memory_bytes bounds."""
