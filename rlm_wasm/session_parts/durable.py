"""What makes a session durable: its place in a store, its lease, and the way back from there.

    opened = Durable.open(store, "name", …)      the lease is taken, the store can be written
    session = …                                  from opened.snapshot, then by the journal's entries
    await durable.save(…)                        snapshots, when the journal says that one is due
    await durable.aclose()                       what is left is written, the lease given back

The blocking half is store/durable.py, the guest's half execution/journal.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

import cbor2

from rlm_wasm.errors import SnapshotCorrupt, SnapshotVersionError, StoreError, UsageError
from rlm_wasm.execution.journal import JournalWriter, Trouble, entries_of
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.limits import Limits, SharedBudget
from rlm_wasm.llm.budget import Budget, BudgetState, new_id
from rlm_wasm.records import structure, unstructure
from rlm_wasm.results import Result
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.session_parts import kept_results
from rlm_wasm.session_parts.lending import Lender
from rlm_wasm.session_parts.signing import checked, plain, signed_account, signed_batch
from rlm_wasm.session_parts.state import SessionState, state_of
from rlm_wasm.store.leases import Holder
from rlm_wasm.store.records import RUNNING, Amount, Opened, Report, SavedSnapshot, check_name
from rlm_wasm.turns import to_the_end
from rlm_wasm.version import __version__

if TYPE_CHECKING:
    from rlm_wasm.execution.journal import Entry
    from rlm_wasm.store.database import DatabaseStore
    from rlm_wasm.store.durable import DurableSessions
    from rlm_wasm.store.records import Batch

log = logging.getLogger("rlm_wasm.durable")

CLOSING_S: Final = 5.0
"""So long the end of a session waits for a store that does not answer."""


@dataclass(frozen=True, slots=True)
class Account:
    """What stands beside a session's journal: what was spent, and under which limits."""

    budget: BudgetState
    limits: Limits

    def dump(self) -> bytes:
        """For the store."""
        return cbor2.dumps(unstructure(self))

    @classmethod
    def load(cls, data: bytes, name: str) -> Account:
        """The inverse. Raises SnapshotCorrupt."""
        try:
            return structure(cls, cbor2.loads(plain(data)), f"the account of session {name}", SnapshotCorrupt)
        except (cbor2.CBORError, ValueError, UsageError) as error:
            raise SnapshotCorrupt(f"the account of session {name} is damaged: {error}") from error


class Durable:
    """A session's place in a store, held by this process. Made by ``open``; a Sink of its journal."""

    def __init__(
        self,
        sessions: DurableSessions,
        opened: Opened,
        *,
        provider: str | None,
        trouble: Trouble,
        shared: SharedBudget | None = None,
        family: SharedBudget | None = None,
        key: bytes | None = None,
        writes: bool = True,
    ) -> None:
        opened = checked(key, opened)
        self.name = opened.name
        self._key, self._made_at = key, opened.made_at
        self.writes = writes
        """Whether it is held; else it is only looked at."""
        self.found = bool(opened.snapshot or opened.rows)
        """Whether the store had anything of it."""
        self.opened: Opened | None = opened
        """What was read; None when the session has taken it over."""
        self.saved = bool(opened.snapshot)
        """Whether the store has a snapshot."""
        self._provider = provider
        self._sessions = sessions
        self.epoch = opened.epoch
        """Of its lease: who takes it over has a later one."""
        self._budget: Budget | None = None
        self._shared = shared
        self.family = family
        """The budget of the session for which this one works elsewhere, and of all that do."""
        self._works_elsewhere = family is not None
        """It serves a call of another session: what is below it is for no request of its own guest."""
        self._lenders: list[Lender] = []
        self.members: set[str] = set()
        """The sessions that work elsewhere for this one, and for those below it."""
        self._family_lender: Lender | None = None
        """Where the family is this session's own."""
        self._alone = asyncio.Lock()
        self._in_middle = opened.status == RUNNING
        self._asked_for = opened.request or ""
        self._result = opened.result
        self._limits = Limits()
        self._children = {stream: snapshot for stream, (_, snapshot) in opened.children.items()}
        self._forgotten: set[str] = set()
        """Of those streams that are wanted no more."""
        self._known: set[str] = set()
        self._seen: dict[str, bytes] = {}
        """Texts of a session that is only looked at: a journal may have some that are kept nowhere else."""
        self._trouble = trouble
        self._began: int | None = None
        self._closed = False
        self.writer = JournalWriter(
            self, name=opened.name, next_row=opened.next_row, account=self._account, trouble=trouble
        )
        if not writes:
            self.writer.freeze()

    @classmethod
    def open(
        cls,
        sessions: DurableSessions,
        name: str,
        *,
        make: bool,
        provider: str | None,
        trouble: Trouble,
        shared: SharedBudget | None = None,
        family: SharedBudget | None = None,
        key: bytes | None = None,
    ) -> Durable | None:
        """Take the lease of a session. Blocks: call it on the store's threads.

        ``provider`` is the one that it goes on with, as people know it; that it was another one before
        is told. ``shared``: the budget that it spends from, with others; ``family``: likewise, of a session
        that works for another one. ``key`` signs what is written.

        Raises UsageError for what is no name, SessionHeld where another process has it, StoreError where the
        store cannot be written.
        """
        opened = sessions.acquire(check_name(name), Holder.here(), make=make)
        if opened is None:
            return None
        try:
            return cls(
                sessions, opened, provider=provider, trouble=trouble, shared=shared, family=family, key=key
            )
        except SnapshotCorrupt:
            sessions.release(name, opened.epoch)
            raise

    @classmethod
    def look(
        cls, sessions: DurableSessions, name: str, *, whole: bool = False, key: bytes | None = None
    ) -> Durable | None:
        """Read a session without taking it; None where there is none. Blocks.

        ``whole``: as it was before its last execution, with all that came since.
        """
        opened = sessions.earlier(check_name(name)) if whole else sessions.read(check_name(name))
        return (
            None
            if opened is None
            else cls(sessions, opened, provider=None, trouble=log.warning, key=key, writes=False)
        )

    def say_provider(self) -> None:
        """Tell people where the session goes on with another provider or model than it had."""
        assert self.opened is not None
        before, now = self.opened.provider, self._provider
        if before is not None and now is not None and before != now:
            self._trouble(f"session {self.name} ran with {before} and goes on with {now}")

    # ---- the way back

    @property
    def release(self) -> str:
        """The release that saved it last; this one where nothing is saved yet. Raises SnapshotError."""
        assert self.opened is not None
        if not self.opened.snapshot:
            return __version__
        return str(Snapshot.header_of(self.opened.snapshot).get("release", "an earlier release"))

    def engine(self, current: Engine) -> Engine:
        """The guest that the session stands on: this release's, or the one that the store keeps for it.

        Blocks: call it on the store's threads. Raises SnapshotError where the snapshot is none, or its
        guest is not there.
        """
        assert self.opened is not None
        if not self.opened.snapshot:
            return current
        key, release = Snapshot.header_of(self.opened.snapshot)["image"], self.release
        if key == current.image_hash:
            return current
        kept = self._sessions.texts([key])
        if key not in kept:
            raise SnapshotVersionError(
                f"session {self.name} stands on guest {key[:12]}… of {release}, this release has"
                f" {current.image_hash[:12]}…, and the store does not keep that one: go on with the release"
                f" that made it, or forget it by rlm-wasm sessions rm {self.name}"
            )
        if self.writes:
            self._trouble(
                f"session {self.name} goes on with the guest that it began on, of release {release}"
            )
        return Engine.of(kept[key])

    def keep_guest(self, engine: Engine) -> None:
        """A session of which there is nothing yet is to stand on this guest: the store has it from now on.

        It is the largest thing that a session needs there: whether there is room is known before any call.

        Blocks: call it on the store's threads. Raises StoreError.
        """
        if self.writes and not self.saved:
            self._sessions.keep_guest(engine.image_hash, engine.image)

    def snapshot(self, key: bytes | None) -> Snapshot | None:
        """The newest one, its contexts filled in; None where there is none. Raises SnapshotError."""
        assert self.opened is not None
        return self._loaded(self.opened.snapshot, key) if self.opened.snapshot else None

    def has_stream(self, stream: str) -> bool:
        """Whether the store had anything of a session below this one."""
        rows = () if self.opened is None or self._is_forgotten(stream) else self.opened.rows
        return self._child(stream) is not None or any(of == stream for _, of, _ in rows)

    def below(self, stream: str) -> set[str]:
        """Names of sessions just below one that the store had something of and that serve its requests."""
        if self._works_elsewhere and not stream:
            return set()
        known = [*self._children, *(() if self.opened is None else (of for _, of, _ in self.opened.rows))]
        start = f"{stream}/"
        names = {of.removeprefix(start).partition("/")[0] for of in known if of.startswith(start)}
        return {name for name in names if not self._is_forgotten(f"{start}{name}")}

    def forget(self, stream: str) -> None:
        """What the store had of a session below this one, and of those below that, is taken up by nobody."""
        if self._children or (self.opened is not None and self.opened.rows):
            self._forgotten.add(stream)

    def _is_forgotten(self, stream: str) -> bool:
        while stream and self._forgotten:
            if stream in self._forgotten:
                return True
            stream = stream.rpartition("/")[0]
        return False

    def child_snapshot(self, stream: str, key: bytes | None) -> Snapshot | None:
        """The newest one of a child; None where there is none."""
        data = self._child(stream)
        return None if data is None else self._loaded(data, key)

    def _child(self, stream: str) -> bytes | None:
        return None if self._is_forgotten(stream) else self._children.get(stream)

    def _loaded(self, data: bytes, key: bytes | None) -> Snapshot:
        # Whoever can write a store is trusted: see store/files.py.
        loaded = replace(Snapshot.load(data, key=key), trusted=True)
        state = state_of(loaded)
        texts = self.texts([key for _, key in state.context_hashes])
        contexts = state.contexts + tuple((name, texts[key]) for name, key in state.context_hashes)
        return replace(loaded, body=replace(state, contexts=contexts, context_hashes=()))

    def texts(self, hashes: list[str]) -> dict[str, str]:
        """Contexts by their hashes. Raises SnapshotCorrupt for one that is not there or not whole."""
        if not hashes:
            return {}
        contents = self._sessions.store.run_now(lambda: self._sessions.texts(hashes)) | self._seen
        for key in hashes:
            if key not in contents:
                raise SnapshotCorrupt(
                    f"a text of session {self.name} is missing or damaged in the store ({key[:12]}…):"
                    f" rlm-wasm sessions rm {self.name} forgets the session"
                )
        self._known.update(contents)
        return {key: content.decode() for key, content in contents.items()}

    def entries(self, stream: str) -> list[Entry]:
        """What a stream's journal says, after its newest snapshot. Raises SnapshotCorrupt."""
        assert self.opened is not None
        return [] if self._is_forgotten(stream) else entries_of(self.opened.rows, stream, self.name)

    @property
    def account(self) -> Account | None:
        """What was spent until now; None of a session that was never written."""
        assert self.opened is not None
        data = self.opened.account
        return None if data is None else Account.load(data, self.name)

    def adopted(self) -> None:
        """The session has taken over what was read, all but its children."""
        if self.writes:
            self.writer.beat()
        if self.opened is not None:
            rows = [row for row in self.opened.rows if row[1]]
            self.opened = replace(self.opened, rows=rows, snapshot=b"")

    # ---- writing

    def spends(self, budget: Budget, limits: Limits) -> None:
        """Whose account stands beside the journal."""
        self._budget, self._limits = budget, limits
        if not self.writes:
            return
        if self._shared is not None:
            self._borrow(budget, self._shared)
        if self.family is not None:
            self._borrow(budget, self.family, before=Amount())

    def _borrow(self, budget: Budget, shared: SharedBudget, *, before: Amount | None = None) -> Lender:
        store = cast("DatabaseStore", self._sessions.store)
        lender = Lender(store, shared, self.name, self.epoch, budget, found=self.found, before=before)
        self._lenders.append(lender)
        return lender

    # ---- a budget with sessions that work for this one elsewhere

    async def family_budget(self, name: str, budget: Budget, limits: Limits) -> SharedBudget:
        """What the session spends from together with them: what it has left, where they begin only now.

        ``name``: of a new one. Raises StoreError.
        """
        async with self._alone:
            if self.family is None:
                await self._share(_left_of(name, budget, limits), budget, limits, new=True)
            assert self.family is not None
            return self.family

    async def family_again(self, name: str, budget: Budget, limits: Limits) -> None:
        """The one that it had of that name, before another process took it up. Raises StoreError."""
        store = cast("DatabaseStore", self._sessions.store)
        async with self._alone:
            if self.family is not None:
                return
            known = await store.run(lambda: store.budgets.state(name))
            if known is None:
                return
            nanousd = known.limits["nanousd"]
            family = SharedBudget(
                name=name,
                concurrency=known.limits["places"],
                calls=known.limits["calls"],
                tokens=known.limits["tokens"],
                cost_usd=None if nanousd is None else nanousd / 1e9,
            )
            await self._share(family, budget, limits, new=False)

    async def _share(self, family: SharedBudget, budget: Budget, limits: Limits, *, new: bool) -> None:
        store = cast("DatabaseStore", self._sessions.store)
        before = Amount(
            calls=limits.calls - (family.calls or 0),
            tokens=(limits.tokens or 0) - (family.tokens or 0),
            nanousd=round(((limits.cost_usd or 0.0) - (family.cost_usd or 0.0)) * 1e9),
        )
        # From this moment on nothing is spent that the store does not know of.
        need = budget.need()
        report = Report(used=need.used, reserved=need.reserved, minimum=need.reserved, wish=need.reserved)
        lender = self._borrow(budget, family, before=before)

        def joined() -> None:
            if new:
                store.budgets.open(family)
            store.budgets.exchange(family.name, self.name, self.epoch, report)

        try:
            await lender.begin(store.run(joined))
        except BaseException:
            self._lenders.remove(lender)
            budget.borrow_no_more(lender)
            raise
        self.family, self._family_lender = family, lender

    async def family_over(self) -> None:
        """None of them is left."""
        async with self._alone:
            lender, family = self._family_lender, self.family
            if self.members or lender is None or family is None or self._budget is None or self.writer.frozen:
                return
            self.family = self._family_lender = None
            self._lenders.remove(lender)
            self._budget.borrow_no_more(lender)
            await lender.aclose(suspended=False)
            self.writer.forget("", family.name)

    def give(self, session: str, text: str) -> str:
        """Keep a text for another session: its hash."""
        content = text.encode("utf-8", "surrogatepass")
        key = hashlib.sha256(content).hexdigest()
        self.writer.give(session, {key: content})
        return key

    async def lost(self) -> Amount:
        """What it may have used since it said last what it did, where its process died. Raises StoreError."""
        store, family = cast("DatabaseStore", self._sessions.store), self.family
        if family is None:
            return Amount()
        return await store.run(lambda: store.budgets.lost(family.name, self.name))

    async def text_given(self, key: str) -> str:
        """A text that another session gave. Raises SnapshotCorrupt where it is not there."""
        found = await self._sessions.store.run(lambda: self._sessions.texts([key]))
        if key not in found:
            raise SnapshotCorrupt(
                f"a text of session {self.name} is missing or damaged in the store ({key[:12]}…)"
            )
        return found[key].decode("utf-8", "surrogatepass")

    def _account(self) -> bytes:
        assert self._budget is not None
        return Account(self._budget.to_state(), self._limits).dump()

    def asked_for(self, request: str) -> None:
        """The execution that begins next is asked for by this id; "": by none."""
        if request or self._asked_for:
            self.writer.begin(request)
        self._asked_for, self._result = request, None

    def is_asked_for(self, request: str) -> bool:
        """Whether the last execution was asked for by this id."""
        return self._asked_for == check_name(request, "a request's id")

    @property
    def request(self) -> str | None:
        """The id by which the last execution was asked for; None where by none."""
        return self._asked_for or None

    @property
    def result(self) -> Result | None:
        """What came of the last execution, where it was asked for by an id and is over.

        Raises SnapshotCorrupt.
        """
        if self._result is None:
            return None
        return kept_results.decoded(Result, self._result, f"the result of session {self.name}")

    def begins(self) -> None:
        """An execution begins with the next row, or goes on."""
        self._began = self.writer.seal()
        self._in_middle = True
        self.writer.say(status=RUNNING)

    def ends(self, result: Result) -> None:
        """The execution is over: what is said of it."""
        self._in_middle = self.writer.frozen
        if self._asked_for and not self.writer.frozen:
            self._result = kept_results.encoded(result)
            self.writer.end(self._result)
        self.writer.say(status=result.status, note=str(result.error or result.value))

    @property
    def kept_reply(self) -> bytes | None:
        """What came of a session that worked for another one, where it is over."""
        return self._result

    def replies(self, encoded: bytes, status: str) -> None:
        """It is over."""
        self._in_middle = self.writer.frozen
        if not self.writer.frozen:
            self._result = encoded
            self.writer.end(encoded)
        self.writer.say(status=status)

    def ended(self) -> None:
        """Nobody wants it to go on: what it has of budgets and does not need is given back."""
        self._in_middle = False

    def keep_text(self, text: str) -> str:
        """Keep a context, once: its hash."""
        content = text.encode()
        key = hashlib.sha256(content).hexdigest()
        if key not in self._known:
            self._known.add(key)
            if self.writes:
                self.writer.keep({key: content})
            else:
                self._seen[key] = content
        return key

    async def write(self, batch: Batch) -> None:
        """See Sink."""
        await self._sessions.store.run(
            lambda: self._sessions.write(self.name, self.epoch, self._signed(batch))
        )

    def _signed(self, batch: Batch) -> Batch:
        return batch if self._key is None else signed_batch(self._key, self._made_at, batch)

    def by_reference(self, state: SessionState) -> SessionState:
        """The state with its contexts by hash; the texts are kept with the next write."""
        hashes = tuple((name, self.keep_text(text)) for name, text in state.contexts)
        return replace(state, contexts=(), context_hashes=hashes)

    async def save(
        self, snapshot: Snapshot, stream: str, base: int, engine: Engine, below: Collection[str]
    ) -> None:
        """Write a snapshot of a stream, after all that came before it. Raises LeaseLost, StoreError.

        ``below``: how the names of the sessions begin that are below it at this moment.

        The guest that it stands on is kept, too, once in a store: a later release goes on with it.
        """
        data = await asyncio.to_thread(snapshot.dump)
        if engine.image_hash not in self._known:
            self._known.add(engine.image_hash)
            self.writer.keep({engine.image_hash: await asyncio.to_thread(engine.image)})
        saved = SavedSnapshot(
            stream=stream,
            base=base,
            data=data,
            guest=snapshot.image_hash,
            provider=self._provider,
            release=__version__,
            keeps=self._began,
            below=None if self._works_elsewhere and not stream else tuple(filter(None, below)),
        )

        async def transaction(batch: Batch) -> None:
            await self._sessions.store.run(
                lambda: self._sessions.save(self.name, self.epoch, self._signed(batch), saved)
            )

        await self.writer.write(transaction)
        if not stream:
            self.saved = True

    def damaged(self, error: SnapshotCorrupt, *, lasting: bool) -> None:
        """No snapshot can be taken. ``lasting``: only one would say what the session is now."""
        self._trouble(f"session {self.name} stays in the store as it was saved last: {error}")
        if lasting:
            self.writer.overflow()

    # ---- the end

    @property
    def kept(self) -> bool:
        """Whether the store has all that it was to have."""
        return self.writer.kept

    def give_back(self) -> None:
        """Nothing came of it: give the lease back. Blocks."""
        self._sessions.store.run_now(self.give_back_here)

    def give_back_here(self) -> None:
        """The same on a thread of the store's."""
        self._closed = True
        if not self.writes:
            return
        try:
            self._sessions.release(self.name, self.epoch, forget=not self.found)
        except StoreError as error:
            log.debug("the lease of session %s is not given back: %s", self.name, error)

    async def aclose(self) -> None:
        """Write what is left and give the lease back, as far as the store lets us. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if not self.writes:
            return
        await self.in_time(self._close())

    async def in_time(self, work: Awaitable[None]) -> None:
        """Do what a session does at its end; where the store does not answer, that is told."""
        try:
            await to_the_end(asyncio.wait_for(work, CLOSING_S))
        except TimeoutError:
            self._trouble(f"session {self.name} may not be kept: the store does not answer")

    async def _close(self) -> None:
        await self.writer.aclose()
        for lender in self._lenders:
            await lender.aclose(suspended=self._in_middle)
        if self.writer.lost is None:
            try:
                empty = not self.found and not self.saved and not self.writer.wrote
                await self._sessions.store.run(
                    lambda: self._sessions.release(self.name, self.epoch, forget=empty)
                )
            except StoreError as error:
                log.debug("the lease of session %s is not given back: %s", self.name, error)


def _left_of(name: str, budget: Budget, limits: Limits) -> SharedBudget:
    """What a session has left of its limits, but for the calls that it has in flight."""
    kept = budget.kept
    tokens, usd = limits.tokens, limits.cost_usd
    return SharedBudget(
        name=name,
        concurrency=limits.concurrency,
        calls=min(max(limits.calls - budget.kept_calls - budget.execution.done, 0), _MOST),
        tokens=None if tokens is None else max(min(tokens, _MOST) - budget.used_tokens - kept.tokens, 0),
        cost_usd=None
        if usd is None
        else max(min(usd, float(_MOST)) - budget.used_usd - (kept.usd or 0.0), 0.0),
    )


_MOST: Final = 1_000_000_000


def account_of_copy(opened: Opened, key: bytes | None) -> bytes | None:
    """The account of a session's copy: what was spent is the same, what it spends has a name of its own."""
    if opened.account is None:
        return None
    opened = checked(key, opened)
    account = Account.load(opened.account or b"", opened.name)
    copied = replace(account, budget=replace(account.budget, id=new_id())).dump()
    return signed_account(key, opened.made_at, copied)
