"""The journal of a durable session: what its guest was given, written before the guest sees it.

The guest is deterministic. So a snapshot, and the messages that the guest took after it, each with the
number of the run that it took it in, bring another process to the same state; and a reply that stands in
the journal is never asked for again. Ticks are left out: the rule by which they come is always the same.

Entries are CBOR arrays [kind, run, …]. Those of one turn of the event loop are one row, and one
transaction of the store, together with the account of what was spent. A stream is a session, or one of
its children.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, Protocol

import cbor2

from rlm_wasm.errors import JournalDiverged, LeaseLost, SnapshotCorrupt, StoreError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.store.records import Batch, is_of

log = logging.getLogger("rlm_wasm.journal")


class Kind(IntEnum):
    """What an entry says. The numbers are in stores: they never change."""

    EVALUATE = 1
    """[message, ids of the replies in it, timeout_s]"""
    MESSAGE = 2
    """[message or None]: a message that is no tick, and no replies"""
    TAKE = 3
    """[ids, fuel of the execution, of its account, seconds, checksum of all that the guest has said]"""
    ANSWER = 4
    """[id, encoded reply]"""
    CALL = 5
    """[id, number]: the request is the LLM call of this number"""
    SENT = 6
    """[id]: it is sent now"""
    SETTLED = 7
    """[id]: a sending that nobody knows the end of was counted"""
    END = 8
    """[status], and of a program of a recursive call's child what came of it"""
    CONTEXT = 9
    """[name, SHA-256 of the text]"""
    PYTHON = 10
    """[captured variables]"""
    RESET = 11
    LOGGED = 12
    """[entry of the scope log]"""
    LOG_CHANGED = 13
    """[call number, fields]"""
    ASKED = 14
    """[key, completion]: the answer to one of the calls that a recursive call is made of"""
    ASKING = 15
    """[key]: that is sent now"""
    ASK_SETTLED = 16
    """[key]"""
    REFUSED = 17
    """[SHA-256 of a program, problems]: a recursive call's program that did not run"""
    ASK = 18
    """[what is asked]: a question to the session; the model's replies are ASKED, as above"""
    ASK_CALL = 19
    """[number]: the model that writes the programs is called"""
    ASK_RAN = 20
    """[Result of a program]"""
    ASK_STEP = 21
    """[iteration with what was used until then]"""
    ASK_OVER = 22
    """[limit]: there are no further iterations, only a last word"""
    ASK_END = 23
    """[Answer, whether it failed], or [None]: it was given up"""
    ASK_AGAIN = 24
    """[]: one that failed is gone on with"""
    PLACED = 25
    """[number, key, shared budget]: the child of this recursive call is a session of its own"""
    PLACED_OVER = 26
    """[number]: it is over, and what it used is in the account"""
    COUNTED = 27
    """[key]: one of the calls that a recursive call is made of is in the account; it may wait still"""


REPLAY_A_RUN: Final = 30_000
REPLAY_A_BYTE: Final = 10
SNAPSHOT: Final = 10_000_000
SNAPSHOT_A_PAGE: Final = 15_000
SNAPSHOT_A_BYTE: Final = 8
WORTH: Final = 4
"""When a snapshot is due: when replaying would cost WORTH times what a snapshot does, both in fuel (about
10⁹ a second). Replaying costs the guest's fuel, 30 µs a message and 10 ns a byte of it; a snapshot 10 ms,
15 µs a changed page, and 8 ns a byte of the host's side. So snapshots take a fifth of an execution's time
at the most, and taking a session up again is as quick as four snapshots."""

PATIENCE_S: Final = 3.0
"""So long an execution waits for a store that fails; then it goes on, and what it does is not kept."""
MAX_UNWRITTEN: Final = 64 << 20
"""Bytes of entries that are held for a store that fails. Beyond that a snapshot takes their place."""
_AGAIN: Final = 20
HEARTBEAT_S: Final = 10.0
"""A third of the time for which a lease holds."""


class Sink(Protocol):
    """Where rows go: a session in a store, in one epoch."""

    async def write(self, batch: Batch) -> None:
        """All of it or nothing. Raises LeaseLost, StoreError."""
        ...


Trouble = Callable[[str], None]
"""Told what people should know, a sentence without its full stop."""


class JournalWriter:
    """Writes the entries of a session and its children, a transaction a turn of the event loop.

    ``account`` gives what was spent so far. A store that fails is told at once, and tried again: while it
    fails, ``flush`` waits for PATIENCE_S, and not at all after that.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        name: str,
        next_row: int,
        account: Callable[[], bytes],
        trouble: Trouble,
    ) -> None:
        self._sink = sink
        self._name = name
        self._account = account
        self._trouble = trouble
        self._next_row = next_row
        self._pending: dict[str, list[bytes]] = {}
        self._unwritten = Batch()
        """Sealed rows, oldest first."""
        self._held = 0
        self._appended = self._written = 0
        self._dirty = False
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._alone = asyncio.Lock()
        """One transaction at a time, so that the account never goes back."""
        self._task: asyncio.Task[None] | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._frozen = False
        self.overflown = False
        """Entries were dropped, as there were too many that could not be written: a snapshot is due."""
        self.lost: LeaseLost | None = None
        """Why nothing more is written for good."""
        self.failing: StoreError | None = None
        """Why the last write failed; None where it did not."""
        self._impatient = False
        self._recover: Callable[[], None] | None = None

    # ---- in

    def append(self, stream: str, entry: bytes) -> None:
        """One entry more; it is written soon."""
        if self._frozen or self.overflown or self.lost is not None:
            return
        if self._held > MAX_UNWRITTEN and self.failing is not None:
            self.overflow()
            return
        self._appended += 1
        self._held += len(entry)
        self._pending.setdefault(stream, []).append(entry)
        self._begin()

    def say(self, *, status: str | None = None, note: str | None = None) -> None:
        """What the list of sessions shows."""
        self._unwritten.say(status, note)
        self._changed()

    def begin(self, request: str) -> None:
        """An execution begins that was asked for by this id; "" where by none."""
        self._unwritten.begin(request)
        self._changed()

    def end(self, result: bytes) -> None:
        """What came of it, for whoever asks for it again."""
        self._unwritten.end(result)
        self._changed()

    def keep(self, blobs: dict[str, bytes]) -> None:
        """Texts that entries refer to by their hashes."""
        self._unwritten.blobs.update(blobs)
        self._changed()

    def give(self, session: str, blobs: dict[str, bytes]) -> None:
        """Texts for another session, which refers to them by their hashes."""
        self._unwritten.give(session, blobs)
        self._changed()

    def forget(self, session: str, budget: str = "") -> None:
        """A session that this one began elsewhere is over, and a budget that they shared, if it is named."""
        if self._frozen or self.lost is not None:
            return
        if session:
            self._unwritten.sessions_over.append(session)
        if budget:
            self._unwritten.budgets_over.append(budget)
        self._changed()

    def drop(self, stream: str) -> None:
        """A child is over: nothing of it, and of those below it, is wanted any more."""
        if self._frozen or self.lost is not None:
            return
        for known in list(self._pending):
            if is_of(known, stream):
                del self._pending[known]
        self._unwritten.drop(stream)
        self._changed()

    def drop_below(self, stream: str) -> None:
        """Of all sessions below this stream nothing is wanted any more."""
        self.drop(f"{stream}/")

    def _changed(self) -> None:
        if not self._frozen and self.lost is None:
            self._appended += 1
            self._begin()

    def seal(self) -> int:
        """Give what was appended its rows. A snapshot comes after those: the number of the next one."""
        for stream, entries in self._pending.items():
            self._unwritten.rows.append((self._next_row, stream, b"\x9f" + b"".join(entries) + b"\xff"))
            self._next_row += 1
        self._pending.clear()
        return self._next_row

    def freeze(self) -> None:
        """From now on nothing more is recorded: the session stays in the store as it is now."""
        self._frozen = True

    def thaw(self) -> None:
        """Record again. A snapshot has to be saved before anything else is."""
        self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether nothing is recorded."""
        return self._frozen

    # ---- out

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            try:
                self._task = asyncio.get_running_loop().create_task(self._write_all())
            except RuntimeError:  # no loop runs yet: the first ``flush`` begins
                return

    def beat(self) -> None:
        """Say now and then that the holder lives, also where there is nothing to write."""
        if self._heartbeat is None:
            try:
                self._heartbeat = asyncio.get_running_loop().create_task(self._beat())
            except RuntimeError:
                return  # no loop runs yet: the first execution begins it

    async def _beat(self) -> None:
        while self.lost is None:
            await asyncio.sleep(HEARTBEAT_S)
            self._dirty = True
            self._begin()

    async def flush(self) -> None:
        """Until all that was appended is in the store, or the patience with it is at its end.

        Raises LeaseLost where another process has the session.
        """
        if self.lost is not None:
            raise self.lost
        if self._written >= self._appended or self._impatient:
            return
        self._begin()
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((self._appended, written))
        losing_patience = loop.call_later(PATIENCE_S, self._lose_patience)
        try:
            await written
        finally:
            losing_patience.cancel()

    def _lose_patience(self) -> None:
        self._impatient = True
        if self.failing is None:
            self._trouble(
                f"session {self._name}: the store does not answer for {PATIENCE_S:g} s; what is done now may"
                " not be kept"
            )
        self._wake(self._appended)

    async def _write_all(self) -> None:
        await asyncio.sleep(0)  # whoever is woken by what was appended just now has something to add
        wait_s = 0.02
        while (self._written < self._appended or self._dirty) and self.lost is None:
            try:
                await self.write(self._sink.write)
            except LeaseLost:
                break
            except StoreError:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, 5.0)

    async def write(self, transaction: Callable[[Batch], Awaitable[None]]) -> None:
        """Write all that there is by a transaction. Raises LeaseLost, StoreError.

        Where whoever waits for it is cancelled, it goes on: the store ends what it has begun, and what it
        has then must not be written again.
        """
        await asyncio.shield(asyncio.ensure_future(self._write(transaction)))

    async def _write(self, transaction: Callable[[Batch], Awaitable[None]]) -> None:
        async with self._alone:
            self.seal()
            batch, upto = self._unwritten, self._appended
            batch.charge(self._account())
            self._unwritten, self._dirty = Batch(), False
            try:
                await transaction(batch)
            except LeaseLost as error:
                self.lost = error
                self._trouble(str(error))
                self._wake(upto)
                raise
            except StoreError as error:
                self._put_back(batch)
                self._failed(error)
                raise
            except BaseException:
                self._put_back(batch)
                raise
            self._went_well(upto)

    def _put_back(self, batch: Batch) -> None:
        self._dirty = True
        later, self._unwritten = self._unwritten, batch
        batch.follow(later)

    def _failed(self, error: StoreError) -> None:
        if self.failing is None:
            self._trouble(f"session {self._name} cannot be kept at present: {error}; trying again")
        self.failing = error

    def _went_well(self, upto: int) -> None:
        if (self.failing is not None or self._impatient) and not self.overflown:
            self._trouble(f"session {self._name} is kept again")
        self.failing = None
        self._impatient = False
        if self.overflown and self._recover is not None:
            self._recover()
        self._written = max(self._written, upto)
        if self._written >= self._appended:
            self._held = 0
        self._wake(upto)

    def _wake(self, upto: int) -> None:
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if wanted > upto and self.lost is None:
                self._waiting.append((wanted, future))
            elif not future.done():
                if self.lost is not None:
                    future.set_exception(self.lost)
                else:
                    future.set_result(None)

    def overflow(self) -> None:
        """Drop what is not written, and record nothing until a snapshot says what the session is.

        Texts and guests stay: that snapshot refers to them.
        """
        self.overflown = True
        self._pending.clear()
        self._unwritten = Batch(blobs=self._unwritten.blobs)
        self._held = 0
        self._dirty = True  # when the store is back, that is found out
        self._begin()

    def whole(self) -> None:
        """A snapshot is taken now: what comes after it is recorded again."""
        self.overflown = False

    def on_recovery(self, recover: Callable[[], None]) -> None:
        """What to do when the store is back, and entries were dropped meanwhile."""
        self._recover = recover

    @property
    def wrote(self) -> bool:
        """Whether anything was written."""
        return self._written > 0

    @property
    def behind(self) -> bool:
        """Whether something waits to be written."""
        return self._written < self._appended

    @property
    def kept(self) -> bool:
        """Whether the store has everything."""
        return self.lost is None and self.failing is None and not self.overflown and not self._impatient

    async def aclose(self) -> None:
        """Write what is there; once, where the store fails."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self.lost is None and self.behind:
            try:
                await self.write(self._sink.write)
            except StoreError:
                pass  # it was told
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])


def snapshot_due(pages: int, host_bytes: int) -> int:
    """How much replaying may cost until a snapshot is due, in fuel: the rule above."""
    return WORTH * (SNAPSHOT + SNAPSHOT_A_PAGE * pages + SNAPSHOT_A_BYTE * host_bytes)


class Journal:
    """One stream: a session's own, or a child's. ``runs`` counts the runs of its guest.

    ``due`` is called when a snapshot is.
    """

    def __init__(
        self, writer: JournalWriter, stream: str = "", *, due: Callable[[], None] | None = None
    ) -> None:
        self.writer = writer
        self.stream = stream
        self._due = due
        self._due_from = snapshot_due(0, 0)
        self.runs = 0
        self.checksum = 0
        self.delivering = False
        """A message is on its way to the guest: no snapshot is taken until it has arrived."""
        self._taken = False
        self._base = 0
        self.cost = 0
        """Of replaying what came since the last snapshot, in fuel."""
        self.stale = False
        """The guest went back to where it was before: only a snapshot says where it is now."""

    def add(self, kind: Kind, *fields: Any) -> None:
        """One entry."""
        if self.stale:
            return
        entry = cbor2.dumps([int(kind), self.runs, *fields])
        self.cost += REPLAY_A_BYTE * len(entry)
        self.writer.append(self.stream, entry)

    async def flush(self) -> None:
        """See JournalWriter."""
        await self.writer.flush()

    # ---- what the guest is given

    def evaluate(self, message: bytes, ids: Sequence[int], timeout_s: float) -> None:
        """An execution begins by this message, with replies to these requests in it."""
        self._taken = True
        self.delivering = True
        self.add(Kind.EVALUATE, message, list(ids), timeout_s)

    async def deliver(self, ids: Sequence[int], fuel: int, account: int, elapsed_s: float) -> None:
        """The guest is given the replies to these requests next; this returns when the store has that."""
        self._taken = True
        self.delivering = True
        self.add(Kind.TAKE, list(ids), fuel, account, elapsed_s, self.checksum)
        await self.flush()
        for _ in range(_AGAIN):  # what was answered meanwhile is safe, too, before the guest has the loop
            if not self.writer.behind:
                break
            await self.flush()

    def run(self, message: bytes | None, by_rule: bytes | None) -> None:
        """The guest runs with this message now; ``by_rule`` is the one that comes without saying."""
        if not self._taken and message != by_rule:
            self.add(Kind.MESSAGE, message)
        self._taken = False
        self.runs += 1
        self.delivering = False

    def replaced(self) -> None:
        """Not what was journalled is given to the guest, but something else, in the same run."""
        self._taken = False

    def not_run(self) -> None:
        """The guest had no room for the message: that run did not take place."""
        self.runs -= 1

    def continues(self, runs: int, checksum: int) -> None:
        """It is the one of a snapshot, which was taken after so many runs."""
        self.runs = self._base = runs
        self.checksum = checksum

    @property
    def untouched(self) -> bool:
        """Whether the guest has not run since the snapshot that it comes from."""
        return self.runs == self._base

    def abandon(self) -> None:
        """The guest goes back, or ends by what is not recorded: only a snapshot can say where it is."""
        self.stale = True
        self._taken = False

    def arrived(self) -> None:
        """The guest has the message, or will never have it."""
        self.delivering = False

    def said(self, outbox: bytes, fuel: int) -> None:
        """What the guest said in that run, and the fuel that it took."""
        import zlib

        self.checksum = zlib.crc32(outbox, self.checksum)
        self.cost += fuel + REPLAY_A_RUN
        if self.cost > self._due_from and self._due is not None and not (self.stale or self.writer.frozen):
            self._due_from *= 2
            self._due()

    def rebased(self) -> int:
        """A snapshot is taken at this moment: the number of the first row that comes after it."""
        self.cost = 0
        self.stale = False
        if not self.stream:
            self.writer.whole()
        return self.writer.seal()

    def measured(self, pages: int, host_bytes: int) -> None:
        """What a snapshot holds, in pages and in bytes of the host's side: the next one costs as much."""
        self._due_from = snapshot_due(pages, host_bytes)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, read."""

    kind: Kind
    run: int
    fields: list[Any]
    row: int


def entries_of(rows: Iterable[tuple[int, str, bytes]], stream: str, name: str) -> list[Entry]:
    """The entries of one stream, in their order. Raises SnapshotCorrupt for a row that is damaged."""
    entries: list[Entry] = []
    for number, of, payload in rows:
        if of != stream:
            continue
        try:
            for item in cbor2.loads(payload):
                kind, run, *fields = item
                if type(run) is not int or run < 0:
                    raise TypeError("run")
                entries.append(Entry(Kind(kind), run, fields, number))
        except (cbor2.CBORError, ValueError, TypeError) as error:
            raise SnapshotCorrupt(
                f"row {number} of the journal of session {name} is damaged ({str(error)[:100]}): sessions"
                f" replay {name} shows how far it goes, sessions rm {name} forgets it"
            ) from error
    return entries


def before_last_execution(entries: list[Entry]) -> list[Entry]:
    """Those that come before the last execution began."""
    began = [at for at, entry in enumerate(entries) if entry.kind is Kind.EVALUATE]
    return entries[: began[-1]] if began else entries


def diverged(entry: Entry | None, what: str) -> JournalDiverged:
    """The error for a guest that does not do what its journal says."""
    where = "" if entry is None else f" at run {entry.run} (row {entry.row}, {entry.kind.name.lower()})"
    return JournalDiverged(
        f"the session cannot be replayed{where}: {what}. It belongs to another guest or to other limits, or"
        " it is damaged; what is in the store stays as it is"
    )
