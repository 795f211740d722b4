"""A session's stay in a store: what is written of it, when, and what happens where that fails.

``durable.py`` is the place in the store, with its lease and its writer; this is what a session does there:
a snapshot at the start of an execution and whenever replaying would cost more than one, a journal in
between, and what is left to write at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from rlm_wasm.errors import LeaseLost, SessionClosed, SnapshotCorrupt, StoreError
from rlm_wasm.execution.journal import Journal, Kind
from rlm_wasm.records import unstructure
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.session_parts import state as states

if TYPE_CHECKING:
    from rlm_wasm.execution.outcome import Outcome
    from rlm_wasm.results import Result
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session_parts.durable import Durable
    from rlm_wasm.session_parts.steps import StepState


class Capturing(Protocol):
    """Takes a snapshot of the session; see ``capture.captured``."""

    async def __call__(self, at: Callable[[], None], *, closing: bool) -> Snapshot:
        """The snapshot."""
        ...


class Stay:
    """Of one session, or of one below it (``owns_lease`` is False: its end is its parent's affair)."""

    def __init__(
        self, durable: Durable, stream: str, engine: Engine, captured: Capturing, *, owns_lease: bool
    ) -> None:
        self.durable = durable
        self.journal = Journal(durable.writer, stream, due=self.save_soon)
        self.owns_lease = owns_lease
        self.saving: asyncio.Task[None] | None = None
        """A snapshot that is being saved while the session goes on."""
        self._engine = engine
        self._captured = captured
        self._in_question = False
        self._given_up = False
        """The last execution was undone or abandoned: the session is not left in its middle."""
        self._captured_python: bytes | None = None
        self._over = False

    # ---- an execution

    async def begin(self) -> None:
        """Save a snapshot at the start, and where only a snapshot says what the session is.

        Raises:
            LeaseLost: another process has the session.
            SessionClosed: the session was closed meanwhile.
            SnapshotCorrupt: its memory is damaged, and cannot be copied.
        """
        durable = self.durable
        if durable.writer.lost is not None:
            raise durable.writer.lost
        durable.writer.beat()
        durable.writer.on_recovery(self.save_soon)
        try:
            if self.saving is not None:
                await asyncio.wait([self.saving])
            if not durable.saved or self.journal.stale or durable.writer.overflown:
                await self.save()
        except LeaseLost:
            raise
        except StoreError:
            pass  # the writer has told it

    def begun(self) -> None:
        """The execution begins with the journal's next row."""
        self._given_up = False
        self.durable.begins()

    async def end(self, outcome: Outcome, result: Result) -> None:
        """Write how an execution ended."""
        if not self.owns_lease:
            return  # a child's end is its parent's answer: until that is written, it is not over
        journal, writer = self.journal, self.durable.writer
        journal.add(Kind.END, result.status)
        if not self._in_question:
            self.durable.ends(result)
        await journal.flush()
        self._given_up = outcome.rolled_back
        if outcome.rolled_back and not writer.frozen:
            self.save_soon()  # it begins when ``execute`` has returned

    def step_ended(self, status: str, result: bytes) -> None:
        """A program of a recursive call's child is over: it is not run again."""
        self.journal.add(Kind.END, status, result)
        if self.journal.stale:
            self.save_soon()

    def step_refused(self, step: StepState) -> None:
        """Such a program does not run."""
        self.journal.add(Kind.REFUSED, step.program, [unstructure(problem) for problem in step.problems])

    def fork_ended(self) -> None:
        """A fork is over. What it came to is its parent's to keep: a snapshot of its own would lack that."""
        self._over = True

    def asks(self, *, question: bool) -> None:
        """Whether executions are a question's from now on: then its end is what is said, and not theirs."""
        self._in_question = question

    async def answered(self, answer: Result) -> None:
        """Write how a question ended."""
        if not self.durable.writer.frozen:
            self.durable.ends(answer)
            await self.journal.flush()

    def abandoned(self) -> None:
        """The suspended execution was given up."""
        self._given_up = True

    def freeze(self) -> None:
        """Nothing that comes from now on is kept."""
        self.durable.writer.freeze()

    async def write(self) -> None:
        """Write what is there."""
        try:
            await self.durable.writer.flush()
        except StoreError:
            pass  # the writer has told it

    # ---- what the journal is told between messages

    def context_loaded(self, name: str | None, text: str) -> None:
        """A context was loaded: its text is kept, once."""
        self.journal.add(Kind.CONTEXT, name, self.durable.keep_text(text))

    def reset(self) -> None:
        """Everything is forgotten, with all that is below: requests are counted from one again."""
        self.journal.add(Kind.RESET)
        self.durable.writer.drop_below(self.journal.stream)

    def scope_logged(self, fields: dict[str, Any], call: int | None) -> None:
        """The scope log has another entry, or the one of a call has changed."""
        if call is None:
            self.journal.add(Kind.LOGGED, fields)
        else:
            self.journal.add(Kind.LOG_CHANGED, call, fields)

    def python_changed(self, captured: bytes | None) -> None:
        """Python's variables may be others now."""
        if captured != self._captured_python:
            self._captured_python = captured
            self.journal.add(Kind.PYTHON, captured)

    def python_replayed(self, captured: bytes | None) -> None:
        """The journal says that Python's variables were these."""
        self._captured_python = captured

    # ---- snapshots

    def save_soon(self) -> None:
        """Save a snapshot while the session goes on. One at a time."""
        if self.saving is None or self.saving.done():
            self.saving = asyncio.get_running_loop().create_task(self._save_quietly())

    async def _save_quietly(self, *, closing: bool = False) -> None:
        if self._over or self.durable.writer.frozen or self.durable.writer.lost is not None:
            return
        try:
            await self.save(closing=closing)
        except (StoreError, SessionClosed):
            return  # the writer has told it
        except SnapshotCorrupt as error:
            self.durable.damaged(error, lasting=self.journal.stale)

    async def save(self, *, closing: bool = False) -> None:
        """Save a snapshot. ``closing``: see ``capture.captured``.

        Raises:
            StoreError: the store cannot be written.
            LeaseLost: another process has the session.
            SessionClosed: the session was closed meanwhile.
            SnapshotCorrupt: its memory is damaged, and cannot be copied.
        """
        durable, journal = self.durable, self.journal
        nothing_else, base = False, -1

        def at_this_moment() -> None:
            nonlocal nothing_else, base
            if self._over:
                raise SessionClosed("the fork is over")
            if not durable.writer.frozen:  # what comes then is no part of it
                nothing_else |= journal.stale or durable.writer.overflown or not durable.saved
                base = journal.rebased()
            else:  # it is of a later moment than the last that is recorded
                base = -1

        try:
            snapshot = await self._captured(at_this_moment, closing=closing)
            if base < 0:
                return
            state = states.state_of(snapshot)
            journal.measured(snapshot.pages, _host_bytes(state))
            stored = replace(snapshot, body=durable.by_reference(state))
            requests = state.scheduler.requests.requests
            below = [states.names_below(each.id, each.operation, each.call_number) for each in requests]
            await durable.save(stored, journal.stream, base, self._engine, below)
        except BaseException:  # cancelled, too
            if nothing_else and not journal.stream:
                durable.writer.overflow()
            elif nothing_else:
                journal.abandon()
            raise

    async def stand_on(self, snapshot: Snapshot, engine: Engine) -> None:
        """Save a snapshot of another guest in place of all that there is, and nothing after it.

        Raises:
            StoreError: the store cannot be written: everything is as it was.
            LeaseLost: another process has the session.
        """
        durable = self.durable
        base = durable.writer.seal()
        durable.writer.freeze()
        stored = replace(snapshot, body=durable.by_reference(states.state_of(snapshot)))
        await durable.save(stored, self.journal.stream, base, engine, ())

    # ---- the end

    def closes(self, *, executing: bool) -> None:
        """The session is about to be closed; another process goes on with what it is in the middle of."""
        if self.owns_lease and executing:
            self.durable.writer.freeze()

    async def save_at_last(self) -> None:
        """Wait for a snapshot that is being saved, and save one where only that says what the session is."""
        if self.saving is not None:
            await asyncio.wait([self.saving])
        if not self.owns_lease:
            return
        if (self.journal.stale and self._given_up) or self.durable.writer.overflown:
            await self.durable.in_time(self._save_quietly(closing=True))

    async def aclose(self) -> None:
        """Write what is left and give the lease back."""
        if self.owns_lease:
            await self.durable.aclose()


def _host_bytes(state: states.SessionState) -> int:
    """About what a snapshot holds beside memory; contexts are kept once, and do not count."""
    requests = state.scheduler.requests
    return (
        sum(len(request.arguments) for request in requests.requests)
        + sum(len(encoded) for _, encoded in requests.replies)
        + state.log.size
        + len(state.python or b"")
    )
