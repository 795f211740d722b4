"""A session as a value: what a snapshot takes of it, and how a session takes up what a snapshot holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import InternalError, SessionClosed, SnapshotVersionError
from rlm_wasm.runlog import events
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.session_parts import state as states
from rlm_wasm.session_parts.parts import Parts
from rlm_wasm.session_parts.resending import Resending
from rlm_wasm.version import __version__

if TYPE_CHECKING:
    from rlm_wasm.execution.state import SchedulerState


async def captured(
    parts: Parts,
    key: bytes | None,
    at: Callable[[], None] = lambda: None,
    *,
    forked: bool = False,
    closing: bool = False,
) -> Snapshot:
    """The session as it is at one moment, signed with ``key``.

    ``at`` is called at the moment that the snapshot is of; in rare cases once more, at a later one.
    ``closing``: it is the last thing that a session does which is being closed.

    Raises:
        SessionClosed: the session was closed before, or meanwhile.
        InternalError: a defect of rlm-wasm.
    """
    if parts.closed and not closing:
        raise SessionClosed("the session is closed")
    python = None if parts.python_made is None else await parts.python_made.capture()
    if parts.recorder.in_run:
        parts.recorder.tell(events.SnapshotTaken, forked=forked)
    try:
        image, (header, state) = await parts.scheduler.captured(partial(_host_side, parts, python, at))
    except InternalError:
        if parts.closed:  # while its memory was copied
            raise SessionClosed("the session is closed") from None
        raise
    return Snapshot(header, image, state, key=key)


def _host_side(
    parts: Parts, python: bytes | None, at: Callable[[], None], scheduler: SchedulerState
) -> tuple[dict[str, Any], states.SessionState]:
    """The host's side of a snapshot: its header and its body."""
    at()
    execution, calls, journal = parts.scheduler.execution, parts.calls, parts.journal
    header = {
        "release": __version__,
        "image": parts.grants.engine.image_hash,
        "suspended": scheduler.execution is not None,
        "namespace": parts.namespace,
        "used": {
            "fuel": 0 if execution is None else execution.fuel,
            "calls": calls.budget.session.calls,
        },
    }
    return header, states.SessionState(
        scheduler=scheduler,
        contexts=tuple(parts.contexts.texts.items()),
        context_replaced=parts.options.untold_context,
        limits_told=parts.options.limits_told,
        budget=calls.budget.to_state(),
        limits=parts.limits,
        log=tuple(parts.log.entries()),
        python=python,
        runs=0 if journal is None else journal.runs,
        checksum=0 if journal is None else journal.checksum,
        asked=tuple(calls.asked.items()),
        asking=tuple(calls.asking),
        inquiry=None if journal is None else parts.inquiry.progress,
    )


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
        parts.log.replace(list(state.log))
    if state.python is not None:
        parts.python.restore(state.python)
    parts.calls.adopt(state.asked, state.asking)
    if parts.journal is not None:
        parts.inquiry.adopt(state.inquiry)
        parts.journal.continues(state.runs, state.checksum)
    elif parts.scheduler.execution is None:
        parts.scheduler.requests.send_again(resending.refusal)


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
    scheduler = replace(state.scheduler, requests=replace(requests, requests=asked))
    return replace(snapshot, body=replace(state, scheduler=scheduler, asked=(), asking=(), inquiry=None))


def waiting_for(snapshot: Snapshot, request: int) -> Snapshot:
    """The session as it waits for that request alone: what its other fibers wait for never comes."""
    state = states.state_of(snapshot)
    requests = state.scheduler.requests
    alone = tuple(replace(each, started=False) for each in requests.requests if each.id == request)
    scheduler = replace(state.scheduler, requests=replace(requests, requests=alone, replies=()))
    alone_state = replace(
        state, scheduler=scheduler, asked=(), asking=(), inquiry=None, log=(), runs=0, checksum=0
    )
    return replace(snapshot, body=alone_state)
