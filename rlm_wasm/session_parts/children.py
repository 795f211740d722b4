"""Sessions below a session: the children of its #:recursive calls, and the forks that its program makes.

They spend from the same account, live no longer than the request that they serve, and stand in the same
journal, each in a stream of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rlm_wasm.asking import own, recursion
from rlm_wasm.errors import ForkFailed, LimitExceeded, StoreError, UsageError
from rlm_wasm.execution.journal import Journal
from rlm_wasm.execution.requests import HostRequest
from rlm_wasm.grants import Grants
from rlm_wasm.llm.calls import LlmCalls
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.session_parts.capture import captured, waiting_for
from rlm_wasm.session_parts.parts import Parent, Parts

if TYPE_CHECKING:
    from rlm_wasm.results import Problem, Result
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session_parts.stay import Stay

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


class MakeBelow(Protocol):
    """Makes a session below: new, or from a snapshot."""

    def __call__(self, grants: Grants, parent: Parent, snapshot: Snapshot | None, stream: str) -> Below:
        """Such a session."""
        ...


class Children:
    """Of one session; ``make`` makes sessions like it."""

    def __init__(self, parts: Parts, stay: Stay | None, key: bytes | None, make: MakeBelow) -> None:
        self._parts = parts
        self._stay = stay
        self._key = key
        self._make = make

    def _parent(self, deepest: int, call: int, nested: int = 0) -> Parent:
        parts = self._parts
        parts.scheduler.guest.note_memory()
        return Parent(
            parts.calls,
            deepest,
            parts.meter,
            parts.scheduler.fuel_account(),
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
        return await recursion.recursion(self.opened)(request, calls, deepest)

    @asynccontextmanager
    async def opened(
        self, calls: LlmCalls, deepest: int, contexts: Mapping[str | None, str], call: int
    ) -> AsyncIterator[_Child]:
        """A child over these contexts, for as long as its call lives."""
        async with calls.budget.children(calls.depth):
            child = self._child(self._parent(deepest, call), f"{call}.1")
            try:
                for name, text in contexts.items():
                    child.parts.contexts.load(text, name)
                if not child.session.suspended:
                    child.parts.options.context_replaced()
                    child.parts.options.check("first")
                yield _Child(child.session, self._parts.scheduler.time_left, self._parts.warn)
            finally:
                await child.session.aclose()

    def _child(self, parent: Parent, name: str) -> Below:
        """A new one, or the one that the journal has under that name."""
        stream = "" if self._stay is None else f"{self._stay.journal.stream}/{name}"
        child = self._make(self._parts.grants.for_child(), parent, self._saved(stream), stream)
        if self._stay is not None:
            for _ in child.session.replayed():
                pass
        return child

    def over(self, number: int) -> None:
        """A recursive call has its answer: of its children nothing is wanted any more."""
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

    async def _forked(self, request: HostRequest, count: int, nested: int) -> list[Any]:
        """What each fork gives, in their order. The first that fails ends the others."""
        start = waiting_for(await captured(self._parts, self._key), request.id)
        tasks = [
            asyncio.create_task(self._in_fork(request, start, number, nested)) for number in range(count)
        ]
        try:
            given = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            if self._stay is not None and not self._stay.journal.stale and request.wanted:
                for number in range(count):
                    self._stay.durable.writer.drop(_fork_stream(self._stay.journal, request, number))
        return given

    async def _in_fork(self, request: HostRequest, start: Snapshot, number: int, nested: int) -> Any:
        calls = self._parts.calls
        async with calls.budget.children(calls.depth):
            # A fork is one level down, and no recursive call.
            parent = self._parent(calls.deepest + 1, 0, nested + 1)
            fork = await self._opened_fork(parent, request, start, number)
            try:
                result = await fork.resume(timeout_s=self._parts.scheduler.time_left())
            finally:
                await fork.aclose()
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
        return result.value if result.data is None else result.data

    async def _opened_fork(
        self, parent: Parent, request: HostRequest, start: Snapshot, number: int
    ) -> Drivable:
        """The fork for an item: from here, or from where the journal has it."""
        stream = "" if self._stay is None else _fork_stream(self._stay.journal, request, number)
        kept = self._saved(stream)
        fork = self._make(self._parts.grants, parent, start if kept is None else kept, stream)
        if kept is not None:
            for _ in fork.session.replayed():
                pass
            return fork.session
        fork.parts.scheduler.requests.live[request.id].resolve(number)
        if fork.stay is not None:
            with contextlib.suppress(StoreError):  # the writer has told it
                await fork.stay.save()
        return fork.session


class _Child:
    """A child as the loop sees it: its programs have the time that its parent has left."""

    __slots__ = ("_session", "_time_left", "_warn")

    def __init__(
        self, session: Drivable, time_left: Callable[[], float | None], warn: Callable[[str], None]
    ) -> None:
        self._session = session
        self._time_left = time_left
        self._warn = warn

    async def run_step(self, program: str) -> Result:
        """Run one of its programs; the one that a process had begun that died goes on."""
        left = self._time_left()
        if self._session.suspended:
            result = await self._session.resume(timeout_s=left)
        else:
            result = await self._session.execute(program, timeout_s=left, name="sub-program")
        for warning in result.warnings:
            self._warn(f"in a sub-model's program: {warning}")
        return result

    async def check_step(self, program: str) -> Sequence[Problem]:
        """What is wrong with a program; nothing where that takes too long to find out."""
        if self._session.suspended:
            return ()
        try:
            return await self._session.check(
                program, timeout_s=min(own.CHECK_S, self._time_left() or own.CHECK_S)
            )
        except LimitExceeded:
            return ()


def _fork_stream(journal: Journal, request: HostRequest, number: int) -> str:
    return f"{journal.stream}/f{request.id}.{number}"
