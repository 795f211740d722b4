"""What a journal says is done again, by the guest that a snapshot was taken of.

The guest is deterministic: given the same messages it takes the same course. Where it does not, the journal
is another session's, another guest's or damaged, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Final

from rlm_wasm.errors import (
    InstanceLost,
    LimitExceeded,
    MessageTooLarge,
    SnapshotCorrupt,
)
from rlm_wasm.execution.journal import Entry, Journal, Kind, diverged
from rlm_wasm.execution.outcome import ActiveExecution
from rlm_wasm.execution.scheduler import Scheduler, gave_up
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.protocol import GuestStatus


def replay(
    again: Replayer,
    journal: Journal,
    entries: list[Entry],
    apply: Callable[[Entry], None],
    last: Callable[[Entry], bool] = lambda _entry: False,
) -> Generator[None, None, bool]:
    """Do again what the entries say, a run of the guest between two turns.

    ``apply`` does what is not the guest's. After the entry that is the ``last`` one it ends: True where
    there was one.

    ``journal`` counts along. Raises JournalDiverged where guest and journal part, SnapshotCorrupt for
    entries that are none.
    """
    # What was noted before a run stands behind its message, where the store took its time with that.
    entries = sorted(entries, key=lambda entry: (entry.run, entry.kind in _RUNS))
    for at, entry in enumerate(entries):
        while journal.runs < entry.run:
            again.rule()
            yield
        if journal.runs > entry.run:
            raise diverged(entry, f"the guest is at run {journal.runs} already")
        replaced = entry.kind in _RUNS and _replaced(entries, at)
        if replaced and entry.kind is not Kind.EVALUATE:
            continue
        try:
            _apply(again, journal, entry, apply, replaced=replaced)
        except (TypeError, ValueError, IndexError) as error:
            raise SnapshotCorrupt(
                f"row {entry.row} of the journal is damaged: {entry.kind.name} {str(error)[:100]}"
            ) from error
        if last(entry):
            return True
        yield
    return False


def _apply(
    again: Replayer, journal: Journal, entry: Entry, apply: Callable[[Entry], None], *, replaced: bool
) -> None:
    kind, fields = entry.kind, entry.fields
    if kind is Kind.EVALUATE:
        message, ids, timeout_s = fields
        apply(entry)
        again.evaluate(message, ids, timeout_s, refused=replaced)
    elif kind is Kind.TAKE:
        ids, fuel, account, elapsed_s, checksum = fields
        if checksum != journal.checksum:
            raise diverged(entry, "until then the guest asked for other things, or said other things")
        again.take(ids, fuel, account, elapsed_s)
    elif kind is Kind.MESSAGE:
        again.message(*fields)
    elif kind is Kind.ANSWER:
        apply(entry)
        again.answer(*fields)
    else:
        apply(entry)


_ASIDE: Final = (protocol.COLLECT, protocol.DEFINITIONS)
"""What a guest is told to do while no program runs."""
_RUNS: Final = (Kind.EVALUATE, Kind.TAKE, Kind.MESSAGE)


def _replaced(entries: list[Entry], at: int) -> bool:
    """Whether a later entry says that the guest was given something else in that run."""
    run = entries[at].run
    for later in entries[at + 1 :]:
        if later.run != run:
            return False
        if later.kind in _RUNS:
            return True
    return False


class Replayer:
    """Does again what a scheduler did. Each step raises JournalDiverged where that cannot be."""

    def __init__(self, scheduler: Scheduler, journal: Journal) -> None:
        self._scheduler = scheduler
        self._guest = scheduler.guest
        self._journal = journal
        self._aside = False
        """A program has come to its end, and before the store had that the guest did something of ours."""

    def rule(self) -> None:
        """The run that comes without saying: a tick, or what belongs to no execution."""
        self._check_goes_on()
        if self._scheduler.execution is None or self._aside:
            self._guest.run_aside(None)
        else:
            self._run(self._guest.by_rule())

    def _check_goes_on(self) -> None:
        """A limit that fires now fired then, too: the guest was told to end next."""
        execution = self._scheduler.execution
        if execution is not None and execution.limit is not None and not execution.interrupted:
            raise diverged(None, str(execution.limit))

    def evaluate(
        self, message: bytes, ids: Sequence[int], timeout_s: float, *, refused: bool = False
    ) -> None:
        """An execution begins. ``refused``: the guest had no room for the message, an interrupt is next."""
        scheduler, log = self._scheduler, self._guest.log
        self._aside = False
        if scheduler.execution is not None:
            raise diverged(None, "an execution begins where another one has not ended")
        if log.overdue:
            log.rest(at_once(self._guest.sandbox.capture_in_turns()))
        log.begin()
        limits = scheduler.limits
        execution = scheduler.begun(replace(limits, timeout_s=min(timeout_s, limits.timeout_s)))
        scheduler.keep(execution, scheduler.requests.take_again(ids))
        if refused:
            scheduler.too_large(execution, MessageTooLarge(len(message)))
        else:
            self._run(message)

    def take(self, ids: Sequence[int], fuel: int, account: int, elapsed_s: float) -> None:
        """The guest takes replies."""
        scheduler, execution = self._scheduler, self._scheduler.execution
        if execution is None:
            raise diverged(None, "replies are taken where no execution is under way")
        self._check_goes_on()
        execution.stands_at(fuel, account, elapsed_s)
        batch = scheduler.requests.take_again(ids)
        scheduler.keep(execution, [item for item in batch if item[0] < execution.first_id])
        self._run(protocol.replies_of([encoded for _, encoded in batch]))

    def message(self, message: bytes | None) -> None:
        """It is given something else."""
        execution = self._scheduler.execution
        if execution is not None and execution.done is not None:
            self._aside = message in _ASIDE
        if execution is None or self._aside:
            self._guest.run_aside(message)
            return
        if message == protocol.INTERRUPT:
            execution.interrupt()
            self._scheduler.requests.cancel_all()
        self._run(message)

    def answer(self, id_: int, encoded: bytes) -> None:
        """A reply has come."""
        self._scheduler.requests.answered_before(id_, encoded)

    def end(self, status: str) -> None:
        """The execution was over, with that status."""
        if self._scheduler.execution is None and self._journal.untouched:
            return  # the snapshot is of the moment between its end and the note of that
        if self._scheduler.execution is None or self._guest.status is not GuestStatus.DONE:
            raise diverged(None, "the program ended, and now it does not")
        self._scheduler.over(ok=status == "ok")

    def _run(self, message: bytes | None) -> None:
        scheduler, guest, journal = self._scheduler, self._guest, self._journal
        execution, sandbox = scheduler.execution, guest.sandbox
        assert execution is not None
        if execution.done is not None:
            raise diverged(None, "the program has ended where it went on")
        if message is None and guest.status is GuestStatus.SUSPENDED:
            raise diverged(None, "the program waits where it did not")
        journal.run(message, message)
        try:
            status = guest.run(message)
            execution.charge(sandbox.fuel_used)
            guest.ran(message, status)
            scheduler.read_outbox(execution, sandbox.outbox())
        except LimitExceeded as limit:  # as it was then: an interrupt comes next, or by ``resume``
            execution.end_by(limit)
        except MessageTooLarge as error:
            journal.not_run()
            scheduler.too_large(execution, error)
        except InstanceLost as crash:
            self._lost(execution, crash)
        except ValueError as error:
            raise diverged(None, str(error)) from error
        if guest.status is GuestStatus.FAILED:
            self._lost(execution, gave_up(execution))

    def _lost(self, execution: ActiveExecution, crash: InstanceLost) -> None:
        """The instance was lost then, too, and no snapshot says so: ``resume`` does."""
        execution.charge(self._guest.sandbox.fuel_used)
        at_once(self._scheduler.roll_back(execution))
        execution.undo(self._scheduler.report(execution, crash))
