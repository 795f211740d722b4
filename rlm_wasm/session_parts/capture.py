"""A session as a value: what a snapshot takes of it, and how a session takes up what a snapshot holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from rlm_wasm.errors import InternalError, SessionClosed, SnapshotVersionError
from rlm_wasm.execution.guest import Guest, captured_together
from rlm_wasm.lazy import loaded_beside
from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.runlog import events
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.session_parts import state as states
from rlm_wasm.session_parts.kept_log import KeptLog
from rlm_wasm.session_parts.parts import Parts
from rlm_wasm.session_parts.resending import Resending
from rlm_wasm.version import __version__

if TYPE_CHECKING:
    from rlm_wasm.execution.state import RequestsState
    from rlm_wasm.python.session_python import SessionPython


class Family(Protocol):
    """The sessions below a session."""

    def open(self) -> list[tuple[str, Parts, Family]]:
        """Those that are at work, in any depth, by their names in ``ChildState``."""
        ...

    def waiting(self) -> list[states.ChildState]:
        """Those that a snapshot had, and that nobody has taken up yet."""
        ...

    def forked(self) -> tuple[tuple[str, bytes], ...]:
        """What forks of the session's program gave that are over, while others of them are not."""
        ...


_FOR_SNAPSHOTS = ("cattrs", "zstandard", "rlm_wasm.execution.state", "rlm_wasm.session_parts.state")
"""What the first snapshot of a process loads."""


async def captured(
    parts: Parts,
    key: bytes | None,
    at: Callable[[], None] = lambda: None,
    *,
    family: Family | None = None,
    forked: bool = False,
    closing: bool = False,
) -> Snapshot:
    """The session as it is at one moment, signed with ``key``.

    ``family``: those below it are part of the snapshot. ``at`` is called at the moment that the snapshot is
    of; in rare cases once more, at a later one. ``closing``: it is the last thing that a session does which
    is being closed.

    Raises:
        SessionClosed: the session was closed before, or meanwhile.
        SnapshotCorrupt: the memory of one of them is damaged, and cannot be copied.
        InternalError: a defect of rlm-wasm.
    """
    if parts.closed and not closing:
        raise SessionClosed("the session is closed")
    await loaded_beside(*_FOR_SNAPSHOTS)
    if not forked and not closing:
        try:
            await parts.scheduler.tidy()
        except InternalError:
            if parts.closed:  # while garbage was collected
                raise SessionClosed("the session is closed") from None
            raise
    if parts.recorder.in_run:
        parts.recorder.tell(events.SnapshotTaken, forked=forked)

    def guests() -> list[Guest]:
        return [each.scheduler.guest for each in _all(parts, family)]

    pythons = _Pythons()

    def state() -> _HostSide | None:
        if not pythons.are_those_of(_all(parts, family)):
            return None
        at()
        return _HostSide(
            _header(parts),
            _host_side(parts, pythons, family),
            [(name, _side_below(name, _host_side(each, pythons, of))) for name, each, of in _open(family)],
            [] if family is None else family.waiting(),
        )

    for _ in range(_TRIES):
        try:
            with ExitStack() as held:
                await pythons.capture(partial(_all, parts, family), held)
                [image, *images], side = await captured_together(guests, state)
        except InternalError:
            if parts.closed:  # while its memory was copied
                raise SessionClosed("the session is closed") from None
            if family is None:
                raise
            continue  # one below it was closed meanwhile
        if side is None:  # variables of Python's were captured, and are others at the moment of the snapshot
            continue
        await asyncio.sleep(0)  # whoever waited has his turn: somebody may take the next one at once
        children = [
            states.ChildState(name, memory, one)
            for (name, one), memory in zip(side.below, images, strict=True)
        ]
        body = states.with_children(side.body, (*children, *side.waiting))
        return Snapshot(side.header, image, body, key=key, engine=parts.grants.engine)
    raise InternalError("the sessions below this one were closed whenever it was captured")


class _Pythons:
    """Python's variables in the sessions of a snapshot, each captured in turns of its own."""

    def __init__(self) -> None:
        self._captured: dict[Parts, tuple[int, bytes | None]] = {}

    async def capture(self, family: Callable[[], Sequence[Parts]], held: ExitStack) -> None:
        """Capture those that are not captured as they are now. They do nothing new while ``held`` is open.

        ``family`` says whose there are: that may change meanwhile.
        """
        holding: set[SessionPython] = set()
        while True:
            free = [each for each in family() if each.python_made not in (None, *holding)]
            if not free:
                return
            for each in free:
                python = each.python_made
                assert python is not None
                holding.add(python)
                held.enter_context(python.held())
            for each in free:
                python = each.python_made
                if python is not None and not self._is_that_of(each):
                    variables = await python.capture()
                    self._captured[each] = python.operations_over, variables

    def are_those_of(self, family: Sequence[Parts]) -> bool:
        """Whether no Python has done anything since."""
        return all(map(self._is_that_of, family))

    def _is_that_of(self, each: Parts) -> bool:
        python = each.python_made
        if python is None:
            return True
        known = self._captured.get(each)
        return known is not None and known[0] == python.operations_over

    def of(self, each: Parts) -> bytes | None:
        """The variables of one of them."""
        known = self._captured.get(each)
        return None if known is None else known[1]


def _all(parts: Parts, family: Family | None) -> list[Parts]:
    return [parts, *(below for _, below, _ in _open(family))]


_TRIES: Final = 100
log = logging.getLogger("rlm_wasm.snapshots")


class _HostSide(NamedTuple):
    """The host's side of a snapshot, of one moment."""

    header: dict[str, Any]
    body: states.BelowState
    below: list[tuple[str, states.BelowState]]
    waiting: list[states.ChildState]


def _open(family: Family | None) -> list[tuple[str, Parts, Family]]:
    return [] if family is None else family.open()


def _header(parts: Parts) -> dict[str, Any]:
    execution, calls = parts.scheduler.execution, parts.calls
    return {
        "release": __version__,
        "image": parts.grants.engine.image_hash,
        "suspended": parts.scheduler.to_state().execution is not None,
        "namespace": parts.namespace,
        "used": {
            "fuel": 0 if execution is None else execution.fuel,
            "calls": calls.budget.session.calls,
        },
    }


def _host_side(parts: Parts, pythons: _Pythons, family: Family | None) -> states.BelowState:
    """The host's side of a snapshot of one session."""
    calls, journal = parts.calls, parts.journal
    return states.BelowState(
        scheduler=parts.scheduler.to_state(),
        contexts=tuple(parts.contexts.texts.items()),
        context_replaced=parts.options.untold_context,
        limits_told=parts.options.limits_told,
        budget=calls.budget.to_state(),
        limits=parts.limits,
        log=_kept_log(parts),
        python=pythons.of(parts),
        runs=0 if journal is None else journal.runs,
        checksum=0 if journal is None else journal.checksum,
        asked=tuple(calls.asked.items()),
        asking=tuple(calls.asking),
        counted=tuple(calls.counted),
        programs=parts.programs.hashes,
        programs_whole=parts.programs.whole and journal is not None,
        steps=parts.steps.to_state(),
        step=parts.steps.under_way,
        forked=() if family is None else family.forked(),
        inquiry=None if journal is None else parts.inquiry.progress,
        placed=() if journal is None else tuple(calls.placed.values()),
    )


def _kept_log(parts: Parts) -> KeptLog:
    """What a session is restored with, and nobody looked at, goes on as it is."""
    if not parts.owns_budget:
        return KeptLog()
    shared = parts.log.shared
    return shared if isinstance(shared, KeptLog) else KeptLog(parts.log.entries())


def _side_below(name: str, state: states.BelowState) -> states.BelowState:
    """A recursive call's child is given its contexts by the call, also where that is served again."""
    return state if name.rpartition("/")[2].startswith("f") else replace(state, contexts=())


def check_guest(snapshot: Snapshot, engine: Engine) -> None:
    """Raises SnapshotVersionError where the snapshot belongs to another guest."""
    if snapshot.image_hash != engine.image_hash:
        raise SnapshotVersionError(
            f"the snapshot stands on guest {snapshot.image_hash[:12]}… of release"
            f" {str(snapshot.header.get('release', 'unknown'))[:20]}, and this release has"
            f" {engine.image_hash[:12]}…: go on with that release, or run its programs again; a store of"
            " durable sessions keeps the guest along with them"
        )


def adopt(parts: Parts, state: states.SessionState, resending: Resending) -> None:
    """Make a session that was just put together the one of a snapshot.

    Raises SnapshotCorrupt, LimitExceeded or UsageError for what cannot be.
    """
    parts.scheduler.from_state(state.scheduler)
    for name, text in state.contexts:
        parts.contexts.load(text, name)
    parts.options.adopt(state)
    if parts.owns_budget:
        if not parts.shares_budget:
            parts.calls.budget.from_state(state.budget)
        parts.log.share(state.log)
    if state.python is not None:
        parts.python.restore(state.python)
    placed = state.placed
    if parts.journal is None:
        placed = ()
        _say_what_is_missing(parts, state)
    parts.calls.adopt(state.asked, state.asking, state.counted, placed)
    parts.programs.adopt(state.programs, whole=state.programs_whole)
    parts.steps.adopt(state.steps, state.step)
    if parts.journal is not None:
        parts.inquiry.adopt(state.inquiry)
        parts.journal.continues(state.runs, state.checksum)
    elif parts.scheduler.execution is None:
        parts.scheduler.requests.send_again(resending.refusal)


def _say_what_is_missing(parts: Parts, state: states.SessionState) -> None:
    """Children that run elsewhere are in no snapshot of their parent: a copy of it alone asks anew."""
    asked = {request.call_number for request in state.scheduler.requests.requests}
    missing = sum(1 for call in state.placed if not call.over and call.number in asked)
    execution = parts.scheduler.execution
    if missing and execution is not None:
        text = (
            f"{missing:,} recursive calls had begun in sessions of their own, which this copy is without:"
            " they begin anew, and are paid again. To go on with those, resume the session by its name"
        )
        log.warning("%s", text)
        execution.warn(text)


# ---- a snapshot as the start of another session


def with_calls_of_its_own(snapshot: Snapshot) -> Snapshot:
    """What is in flight is asked by a fork anew: nobody may take its calls for the other session's."""
    state = states.state_of(snapshot)
    requests = state.scheduler.requests
    asked = tuple(
        replace(request, call_number=0, started=False, unsettled=False)
        if request.operation == "llm"
        else request
        for request in requests.requests
    )
    return replace(snapshot, body=_alone(state, replace(requests, requests=asked)))


def waiting_for(snapshot: Snapshot, request: int) -> Snapshot:
    """The session as it waits for that request alone: what its other fibers wait for never comes."""
    state = states.state_of(snapshot)
    requests = state.scheduler.requests
    alone = tuple(replace(each, started=False) for each in requests.requests if each.id == request)
    own = _alone(state, replace(requests, requests=alone, replies=()))
    return replace(snapshot, body=replace(own, log=KeptLog(), runs=0, checksum=0, steps=(), step=""))


def _alone(state: states.SessionState, requests: RequestsState) -> states.SessionState:
    """The state with these requests in flight, without sessions below it and what questions asked."""
    return replace(
        state,
        scheduler=replace(state.scheduler, requests=requests),
        asked=(),
        asking=(),
        counted=(),
        inquiry=None,
        placed=(),
        forked=(),
        children=(),
    )
