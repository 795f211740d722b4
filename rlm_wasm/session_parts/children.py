"""Sessions below a session: the children of its #:recursive calls, and the forks that its program makes.

They spend from the same account, live no longer than the request that they serve, and stand in the same
journal, each in a stream of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rlm_wasm.asking import own, recursion
from rlm_wasm.errors import ForkFailed, LimitExceeded, StoreError, Unencodable, UsageError
from rlm_wasm.execution.requests import HostRequest
from rlm_wasm.grants import Grants
from rlm_wasm.lazy import loaded_beside
from rlm_wasm.llm.calls import LlmCalls
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.session_parts import kept_results
from rlm_wasm.session_parts import state as states
from rlm_wasm.session_parts.capture import Family, captured, waiting_for
from rlm_wasm.session_parts.parts import Parent, Parts
from rlm_wasm.session_parts.placed import PlacedChildren
from rlm_wasm.turns import in_turns

if TYPE_CHECKING:
    from rlm_wasm.execution.meter import FuelAccount
    from rlm_wasm.results import Problem, Result
    from rlm_wasm.session_parts.placed import Elsewhere
    from rlm_wasm.session_parts.stay import Stay

_FOR_RECURSION = ("rlm_wasm.asking.recursion", "rlm_wasm.asking.prompts", "cattrs")
"""What the first recursive call of a process loads."""
MAX_NESTED_FORKS = 32
"""Forks of forks of forks: each holds the memory of a session while those below it run."""


class Drivable(Protocol):
    """What is done with a session below."""

    @property
    def suspended(self) -> bool:
        """Whether it is in the middle of an execution."""
        ...

    async def execute(self, source: str, *, timeout_s: float | None, name: str) -> Result:
        """Run a program in it."""
        ...

    async def resume(self, *, timeout_s: float | None) -> Result:
        """Go on with what it is in the middle of."""
        ...

    def abandon(self) -> None:
        """Give up what it is in the middle of."""
        ...

    async def check(self, source: str, *, timeout_s: float | None) -> Sequence[Problem]:
        """Look through a program."""
        ...

    def replayed(self, until: int | None = None) -> Generator[None, None, None]:
        """Do again what its journal says."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


class Below(NamedTuple):
    """A session below, with what it is made of."""

    session: Drivable
    parts: Parts
    stay: Stay | None
    children: Children


class MakeBelow(Protocol):
    """Makes a session below: new, or from a snapshot."""

    def __call__(self, grants: Grants, parent: Parent, snapshot: Snapshot | None, stream: str) -> Below:
        """Such a session."""
        ...


class Told(Protocol):
    """On whose account a recursive call's child works: the session's own execution, or another process's."""

    def time_left(self) -> float | None:
        """Seconds; None: there is no bound."""
        ...

    def warn(self, text: str) -> None:
        """Tell people of it."""
        ...

    def fuel_account(self) -> FuelAccount:
        """Which fuel it uses."""
        ...

    def ran_before(self, fuel: int) -> None:
        """A program that took so much fuel is not run again."""
        ...


class _Own:
    """The session's own execution."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def time_left(self) -> float | None:
        return self._parts.scheduler.time_left()

    def warn(self, text: str) -> None:
        self._parts.warn(text)

    def fuel_account(self) -> FuelAccount:
        return self._parts.scheduler.fuel_account()

    def ran_before(self, fuel: int) -> None:
        pass  # the execution's journal has that


class Children:
    """Of one session; ``make`` makes sessions like it.

    ``elsewhere``: where else its children may run, and make again what is in ``resend``.
    """

    def __init__(
        self,
        parts: Parts,
        stay: Stay | None,
        key: bytes | None,
        make: MakeBelow,
        elsewhere: Elsewhere | None,
        resend: Collection[str],
    ) -> None:
        self.placed = PlacedChildren(parts, stay, elsewhere, resend)
        """Those that are sessions of their own."""
        self._parts = parts
        self._stay = stay
        self._key = key
        self._make = make
        self._open: dict[str, Below] = {}
        """Those that are at work, by name."""
        self._waiting: dict[str, states.ChildState] = {}
        """Those that a snapshot had, by name, and that are to be taken up."""
        self._starts: dict[str, tuple[states.ChildState, int]] = {}
        """What the forks of a request begin from, by name, and how many there are."""
        self._forks_over: dict[str, bytes] = {}
        """What forks gave that are over, while others of the same request are not: encoded, by name."""

    # ---- in snapshots

    def adopt(self, state: states.SessionState) -> None:
        """Those of a snapshot: each is taken up when its request is served again."""
        self._waiting = {child.name: child for child in state.children}
        self._forks_over = dict(state.forked)
        self.known_again()

    def known_again(self) -> None:
        """What there is of sessions below is for requests in flight, and as long as those are."""
        names = {name.partition("/")[0] for name in (*self._waiting, *self._forks_over)}
        if self._stay is not None:
            names |= self._stay.durable.below(self._stay.journal.stream)
        if not names:
            return
        serving = self._serving()
        for name in names:
            request = serving.get(_request_of(name))
            if request is None:
                self._forget(name)
            else:
                request.when_over(partial(self._forget, name))

    def _serving(self) -> dict[str, HostRequest]:
        """Requests that are wanted, by how the names of the sessions begin that serve them.

        One that nobody wants any more ends those that serve it, but not in the same step: until then they
        are there, and belong in no snapshot.
        """
        live = self._parts.scheduler.requests.live.values()
        return {states.names_below(each.id, each.operation, each.call_number): each for each in live}

    def open(self) -> list[tuple[str, Parts, Family]]:
        """See Family."""
        out: list[tuple[str, Parts, Family]] = []
        serving = self._serving() if self._open else {}
        for name, below in self._open.items():
            if _request_of(name) in serving:
                out.append((name, below.parts, below.children))
                out += [(f"{name}/{inner}", parts, of) for inner, parts, of in below.children.open()]
        return out

    def at_work(self) -> list[Parts]:
        """All that are open, in any depth, whoever wants what they come to."""
        return [parts for below in self._open.values() for parts in (below.parts, *below.children.at_work())]

    def waiting(self) -> list[states.ChildState]:
        """See Family."""
        serving = self._serving() if self._open or self._waiting or self._starts else {}
        out = [child for name, child in self._waiting.items() if _request_of(name) in serving]
        for name, (start, count) in self._starts.items():
            begun = sum(
                f"{name.removesuffix('start')}{number}" in known
                for known in (self._open, self._waiting, self._forks_over)
                for number in range(count)
            )
            if begun < count and _request_of(name) in serving:
                out.append(start)
        for name, below in self._open.items():
            if _request_of(name) in serving:
                out += [replace(child, name=f"{name}/{child.name}") for child in below.children.waiting()]
        return out

    def forked(self) -> tuple[tuple[str, bytes], ...]:
        """See Family."""
        serving = self._serving() if self._forks_over else {}
        return tuple(
            (name, given) for name, given in self._forks_over.items() if _request_of(name) in serving
        )

    def _kept(self, name: str) -> Snapshot | None:
        """The session below of that name, from the journal or a snapshot, with those below it."""
        child = self._waiting.pop(name, None)
        if child is None:
            return self._saved("" if self._stay is None else f"{self._stay.journal.stream}/{name}")
        prefix = f"{name}/"
        inner = [known for known in self._waiting if known.startswith(prefix)]
        children = tuple(
            replace(self._waiting.pop(known), name=known.removeprefix(prefix)) for known in inner
        )
        header = {"image": self._parts.grants.engine.image_hash, "suspended": True}
        return Snapshot(header, child.memory, states.with_children(child.state, children))

    def _forget(self, name: str) -> None:
        """Nobody will take it up."""
        for known in [known for known in self._waiting if known == name or known.startswith(f"{name}/")]:
            del self._waiting[known]
        self._forks_over.pop(name, None)
        if self._stay is not None:
            self._stay.durable.forget(f"{self._stay.journal.stream}/{name}")

    def _parent(self, told: Told, deepest: int, call: int, nested: int = 0) -> Parent:
        parts = self._parts
        parts.scheduler.guest.note_memory()
        return Parent(
            parts.calls,
            deepest,
            parts.meter,
            told.fuel_account(),
            parts.workspace,
            parts.python_place,
            call,
            nested,
        )

    def _saved(self, stream: str) -> Snapshot | None:
        return None if self._stay is None else self._stay.durable.child_snapshot(stream, self._key)

    # ---- #:recursive calls

    async def recurse(self, request: CompletionRequest, calls: LlmCalls, deepest: int) -> Completion:
        """Serve a #:recursive call: the answer that its child comes to."""
        if self.placed.is_placed(request, self._has_begun):
            return await self.placed.recurse(request, calls, deepest)
        return await self.recurse_here(_Own(self._parts), request, calls, deepest)

    async def recurse_here(
        self, told: Told, request: CompletionRequest, calls: LlmCalls, deepest: int
    ) -> Completion:
        """Serve one by a child in this process."""
        await loaded_beside(*_FOR_RECURSION)
        return await recursion.recursion(partial(self._opened, told))(request, calls, deepest)

    def _has_begun(self, request: CompletionRequest) -> bool:
        """Whether a snapshot or a journal has something of a child in this process."""
        key, name = request.idempotency_key or "", f"{request.id}.1"
        calls, stay = self._parts.calls, self._stay
        return (
            name in self._waiting
            or any(known in calls.asked or known in calls.asking for known in (key, f"{key}-2"))
            or (stay is not None and stay.durable.has_stream(f"{stay.journal.stream}/{name}"))
        )

    @asynccontextmanager
    async def _opened(
        self, told: Told, calls: LlmCalls, deepest: int, contexts: Mapping[str | None, str], call: int
    ) -> AsyncIterator[_Child]:
        """A child over these contexts, for as long as its call lives."""
        async with calls.budget.children(calls.depth):
            own_name = f"{call}.1"
            async with self._parts.meter.turns.turn():
                parent = self._parent(told, deepest, call)
                child = self._open[own_name] = self._child(parent, own_name)
            try:
                self._replay(child)
                for name, text in contexts.items():
                    child.parts.contexts.load(text, name)
                if not child.session.suspended:
                    child.parts.options.context_replaced()
                    child.parts.options.check("first")
                await child.children.placed.taken_up()
                yield _Child(child, told)
            finally:
                # A snapshot of this time would have neither the child nor the answer that it came to.
                with self._parts.scheduler.guest.in_transit():
                    del self._open[own_name]
                    await child.session.aclose()

    def _child(self, parent: Parent, name: str) -> Below:
        """A new one, or the one that the journal or a snapshot has under that name."""
        stream = "" if self._stay is None else f"{self._stay.journal.stream}/{name}"
        return self._make(self._parts.grants.for_child(), parent, self._kept(name), stream)

    def _replay(self, below: Below) -> None:
        """Do again what the journal says of a session below."""
        if self._stay is not None:
            for _ in below.session.replayed():
                pass

    def over(self, number: int) -> None:
        """A recursive call has its answer: of its children nothing is wanted any more."""
        if number in self._parts.calls.placed:
            return  # its session stays until the answer is in the journal
        self._forget(f"{number}.1")
        if self._stay is not None and not self._stay.journal.stale:
            self._stay.durable.writer.drop(f"{self._stay.journal.stream}/{number}.1")

    # ---- forks

    def fork_map(self, request: HostRequest) -> Any:
        """Serve a "fork" operation: each fork goes on from here, and its end is its answer.

        Raises:
            UsageError: it is no number of forks, or they are nested too deep.
        """
        limits, parent = self._parts.limits, self._parts.parent
        count = request.arguments[0] if len(request.arguments) == 1 else None
        if type(count) is not int or not 0 < count <= limits.handles:
            raise UsageError(f"fork-map: from 1 to {limits.handles:,} items (the limit handles)")
        nested = 0 if parent is None else parent.nested
        if nested >= MAX_NESTED_FORKS:
            raise UsageError(f"fork-map: forks are nested {MAX_NESTED_FORKS} deep already")
        return request.spawn(self._forked(request, count, nested))

    async def _forked(self, request: HostRequest, count: int, nested: int) -> protocol.Encoded:
        """What each fork gives, in their order, as it is encoded. The first that fails ends the others."""
        name = f"f{request.id}.start"
        start = self._kept(name)
        if start is None:
            start = waiting_for(await captured(self._parts, self._key), request.id)
        state = states.without_children(states.state_of(start))
        self._starts[name] = states.ChildState(name, start.image(), state), count
        given: list[bytes] = [b""] * count
        numbers = iter(range(count))
        most, size = self._parts.limits.message_bytes, 0

        async def one_after_the_other() -> None:
            nonlocal size
            for number in numbers:
                given[number] = one = await self._in_fork(request, start, number, nested)
                size += len(one)
                if size > most:
                    raise Unencodable(
                        f"fork-map: what the forks gave has more than {most:,} bytes, the most that a "
                        "message may have (message_bytes)"
                    )
                request.hold(len(one))

        # No more tasks than forks can be alive at once: the loop would begin all of them in one turn.
        tasks = [
            asyncio.create_task(one_after_the_other())
            for _ in range(min(count, self._parts.limits.concurrency))
        ]
        try:
            await asyncio.gather(*tasks)
            request.arrives()
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            del self._starts[name]
            request.when_over(partial(self._forget_forks, request, count, wanted=request.wanted))
        return protocol.Encoded(protocol.head_of(4, count), *given)

    def _forget_forks(self, request: HostRequest, count: int, *, wanted: bool) -> None:
        """The reply to their request is due, or nobody wants it: then ``wanted`` is False."""
        drops = self._stay is not None and not self._stay.journal.stale and wanted
        for number in range(count):
            fork = _fork_name(request, number)
            self._forget(fork)
            if drops and self._stay is not None:
                self._stay.durable.writer.drop(f"{self._stay.journal.stream}/{fork}")

    async def _in_fork(self, request: HostRequest, start: Snapshot, number: int, nested: int) -> bytes:
        """What a fork gave, encoded."""
        calls, name = self._parts.calls, _fork_name(request, number)
        if name in self._forks_over:
            return self._forks_over[name]
        async with calls.budget.children(calls.depth):
            # A fork is one level down, and no recursive call.
            parent = self._parent(_Own(self._parts), calls.deepest + 1, 0, nested + 1)
            stream = "" if self._stay is None else f"{self._stay.journal.stream}/{name}"
            async with self._parts.meter.turns.turn():
                kept = self._kept(name)  # until this moment it stands in snapshots as one that waits
                origin = start if kept is None else kept
                fork = self._open[name] = self._make(self._parts.grants, parent, origin, stream)
            try:
                if kept is not None:
                    self._replay(fork)
                else:
                    await self._begin_fork(fork, request, number)
                await fork.children.placed.taken_up()
                result = await fork.session.resume(timeout_s=self._parts.scheduler.time_left())
                with fork.parts.scheduler.guest.in_transit():
                    self._forks_over[name] = given = await _given(result, number)
                    if fork.stay is not None:
                        fork.stay.fork_ended()
            finally:
                del self._open[name]
                await fork.session.aclose()
        return given

    @staticmethod
    async def _begin_fork(fork: Below, request: HostRequest, number: int) -> None:
        """It goes on from here with the number of its item."""
        fork.parts.scheduler.requests.live[request.id].resolve(number)
        if fork.stay is not None:
            with contextlib.suppress(StoreError):  # the writer has told it
                await fork.stay.save()


class _Child:
    """A child as the loop sees it: its programs have the time that its parent has left."""

    __slots__ = ("_below", "_session", "_told")

    def __init__(self, below: Below, told: Told) -> None:
        self._below = below
        self._session = below.session
        self._told = told

    async def run_step(self, program: str) -> Result:
        """Run one of its programs: what came of it before, or goes on with it, where it had begun."""
        left, steps, stay = self._told.time_left(), self._below.parts.steps, self._below.stay
        known = steps.result_again(program)
        if known is not None:
            self._told.ran_before(known.execution.fuel)
            return known
        if self._session.suspended and steps.is_under_way(program):
            result = await self._session.resume(timeout_s=left)
        else:
            if self._session.suspended:  # the loop goes another way than it did then
                self._session.abandon()
            steps.begin(program)
            result = await self._session.execute(program, timeout_s=left, name="sub-program")
        if result.status != "cancelled":
            encoded = kept_results.encoded(result)
            steps.end(encoded)
            if stay is not None:
                stay.step_ended(result.status, encoded)
        for warning in result.warnings:
            self._told.warn(f"in a sub-model's program: {warning}")
        return result

    async def check_step(self, program: str) -> Sequence[Problem]:
        """What is wrong with a program; nothing where that takes too long to find out."""
        steps, stay = self._below.parts.steps, self._below.stay
        if steps.is_next(program):
            return steps.problems_again(program)
        if self._session.suspended:
            return ()
        try:
            problems = await self._session.check(
                program, timeout_s=min(own.CHECK_S, self._told.time_left() or own.CHECK_S)
            )
        except LimitExceeded:
            return ()
        if any(problem.severity == "error" for problem in problems):
            step = steps.refuse(program, problems)
            if stay is not None:
                stay.step_refused(step)
        return problems


async def _given(result: Result, number: int) -> bytes:
    """What a fork gave, encoded. Raises what the fork-map fails by where it gave nothing."""
    error = result.error
    if result.status == "limit" and error is not None:
        raise LimitExceeded(error.kind or "?", error.used or 0, error.limit or 0, error.message)
    if not result.ok:
        if error is None:
            raise ForkFailed(f"fork-map: item {number}: {result.status}")
        raise ForkFailed(
            f"fork-map: item {number}: {error.message}",
            type=error.type,
            line=error.line,
            column=error.column,
        )
    value = result.value if result.data is None else result.data
    given: bytes = await in_turns(protocol.encode_in_turns(value))
    return given


def _fork_name(request: HostRequest, number: int) -> str:
    return f"f{request.id}.{number}"


def _request_of(name: str) -> str:
    """How the names of all sessions begin that serve the same request as this one; see ``names_below``."""
    return f"{name.partition('.')[0]}."
