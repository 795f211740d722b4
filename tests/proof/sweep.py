"""Make the Nth thing fail, for N = 1, 2, 3 … until nothing changes, and look at what is left.

After every run the session must answer, nothing may be in flight or held for it, and its accounts, its
scope log and what the provider was asked must agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from proof.programs import CONTEXT, answer, runtime_for
from rlm_wasm import (
    Completion,
    CompletionRequest,
    Limits,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    Result,
    Session,
    StoreError,
)
from rlm_wasm.capabilities.checkpoints import MemoryStore

PAGE = 1 << 16
_TURNS = 10_000
"""Turns of the event loop after which something that should have ended hangs."""


class Anomaly(AssertionError):
    """What should not be, with the run in which it was."""


class Answers:
    """Answers every call after a turn of the loop; the call of number ``failing`` raises ``error``.

    ``inline`` answers on the spot: then a program takes the same course to the last instruction, which
    with replies that come when they come it need not.
    """

    name = "answers"
    default_model = "answering"
    free = True

    def __init__(self, failing: int = 0, error: BaseException | None = None, *, inline: bool = False) -> None:
        self.inline = inline
        self.asked = 0
        self.answered = 0
        self.in_flight = 0
        self._failing = failing
        self._error = error

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer, or the error where it is this call's turn."""
        self.asked += 1
        number = self.asked
        self.in_flight += 1
        try:
            if not self.inline:
                await asyncio.sleep(0)
            if number == self._failing and self._error is not None:
                raise self._error
            completion = answer(request)
            self.answered += 1
            return completion
        finally:
            self.in_flight -= 1


@dataclass(frozen=True)
class Run:
    """One run of a sweep: what was made to fail, and what came of it."""

    sweep: str
    n: int
    result: Result


async def check_after(
    session: Session, provider: Answers, result: Result, where: str, then: str = "3"
) -> None:
    """Nothing is left of an execution, all accounts of it agree, and ``(+ 1 2)`` gives ``then``.

    Raises:
        Anomaly: something is not as it should be.
    """

    def must(holds: bool, what: str) -> None:
        if not holds:
            raise Anomaly(f"{where}: {what} (status {result.status}, error {result.error})")

    must(result.status in ("ok", "finished", "error", "limit", "cancelled"), "unknown status")
    must(result.error is None or result.error.type != "sandbox-crashed", "the sandbox crashed")
    must((result.error is None) == result.ok or result.status == "cancelled", "error and status disagree")
    for _ in range(_TURNS):
        state = session.state()
        if not (state["calls_in_flight"] or provider.in_flight or state["used"]["host_bytes"]):
            break
        await asyncio.sleep(0)
    must(not state["calls_in_flight"], f"calls in flight: {state['calls_in_flight']}")
    must(provider.in_flight == 0, "the provider still works")
    must(state["calls_queued"] == 0, "calls are queued")
    must(not state["running"], "it still runs")
    must(state["used"]["host_bytes"] == 0, f"the host holds {state['used']['host_bytes']} bytes")
    log = [entry for entry in session.scope_log() if entry["op"].startswith("llm-query")]
    must(state["used"]["calls"] == result.execution.calls, "session and execution count calls differently")
    must(len({entry["call_id"] for entry in log}) == len(log), "a call stands in the log twice")
    # A recursive call is one entry, however often its sub-model was asked for another program.
    recursive = any(
        entry["depth"] > (0 if entry["scope"] == "sub-call" else int(entry["scope"][4:])) for entry in log
    )
    forgotten = session._parts.log.forgotten
    told = f"{len(log)} calls in the log, {forgotten} forgotten, {result.execution.calls} counted"
    must(
        len(log) <= result.execution.calls <= len(log) + forgotten
        or (recursive and len(log) < result.execution.calls),
        told,
    )
    logged = sum(entry.get("tokens") or 0 for entry in log)
    must(logged <= result.execution.tokens, f"{logged} tokens in the log, {result.execution.tokens} counted")
    must(
        result.execution.tokens >= 15 * provider.answered if result.ok else True,
        "answered calls are not all counted",
    )
    again = await session.execute("(+ 1 2)")
    too_little = session.limits.fuel < 200_000 and _limit(again, "fuel")
    must(again.value == then or too_little, f"the session does not answer: {again.status} {again.error}")


async def _once(
    source: str,
    provider: Answers,
    limits: Limits | None,
    where: str,
    store: MemoryStore | None = None,
    act: Callable[[Session], None] | None = None,
) -> Result:
    async with runtime_for(provider, limits=limits, store=store) as runtime, runtime.session() as session:
        await session.load_context(CONTEXT)
        if act is not None:
            act(session)
        result = await session.execute(source)
        if act is not None:
            session.cancel()  # stops the clock that act has started; nothing runs any longer
        await check_after(session, provider, result, where)
        return result


async def plain(source: str) -> Result:
    """The result when nothing fails."""
    return await _once(source, Answers(), None, "nothing fails")


def same(result: Result, expected: Result) -> bool:
    """Whether a program gave what it gives when nothing fails."""
    return (result.status, result.value, result.stdout) == (expected.status, expected.value, expected.stdout)


def spread(last: int, runs: int | None) -> Iterator[int]:
    """1 … last: all of them, or so many, the first and the last among them."""
    if runs is None or last <= runs:
        yield from range(1, last + 1)
        return
    seen = set()
    for i in range(runs):
        n = 1 + round(i * (last - 1) / (runs - 1))
        if n not in seen:
            seen.add(n)
            yield n


async def fuel(source: str, runs: int | None = None) -> AsyncIterator[Run]:
    """fuel = N: a limit of that name, and from what the program used on, its result."""
    expected = await _once(source, Answers(inline=True), None, "nothing fails")
    enough = Limits(fuel=expected.execution.fuel * 2)  # giving a limit at all costs a little
    used = (await _once(source, Answers(inline=True), enough, "twice the fuel")).execution.fuel
    for n in spread(used + 1, runs):
        result = await _once(source, Answers(inline=True), Limits(fuel=n), f"fuel={n}")
        if n >= used and not same(result, expected):
            raise Anomaly(f"fuel={n} is not enough, though {used} was used: {result.error}")
        if n < used and not _limit(result, "fuel"):
            raise Anomaly(f"fuel={n} of {used}: {result.status} {result.error}")
        yield Run("fuel", n, result)


async def memory(source: str, runs: int | None = None, pages: int = 256) -> AsyncIterator[Run]:
    """memory_bytes = N pages: a limit of that name up to some N, from there on the result."""
    expected = await plain(source)
    enough = None
    for n in spread(pages, runs):
        result = await _once(source, Answers(), Limits(memory_bytes=n * PAGE), f"{n} pages")
        if same(result, expected):
            enough = enough or n
        elif enough is not None:
            raise Anomaly(f"{enough} pages are enough and {n} are not: {result.error}")
        elif not _limit(result, "memory_bytes"):
            raise Anomaly(f"{n} pages: {result.status} {result.error}")
        yield Run("memory", n, result)


ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: ProviderError("the server said no", status=400),
    lambda: ProviderTimeout("too late"),
    lambda: RateLimited("slow down"),
    lambda: ZeroDivisionError("a defect of the provider"),
    asyncio.CancelledError,
)


async def calls(source: str, runs: int | None = None) -> AsyncIterator[Run]:
    """The provider fails on call N, in each of the ways in which one can."""
    expected = await plain(source)
    for n in spread(expected.execution.calls + 1, runs):
        for make in ERRORS:
            error = make()
            result = await _once(source, Answers(n, error), None, f"call {n} raises {type(error).__name__}")
            if n > expected.execution.calls and not same(result, expected):
                raise Anomaly(f"no call failed, and yet: {result.status} {result.error}")
            if result.status not in ("ok", "finished", "error"):
                raise Anomaly(f"call {n} raises {error!r}: {result.status} {result.error}")
            yield Run("calls", n, result)


async def cancellation(source: str, runs: int | None = None) -> AsyncIterator[Run]:
    """The execution is cancelled after N turns of the loop: at every place where it can be suspended."""
    expected = await plain(source)
    n = 0
    while True:
        n += 1
        left = n

        def start(session: Session) -> None:
            def turn() -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    session.cancel()
                elif left > 0:
                    asyncio.get_running_loop().call_soon(turn)

            asyncio.get_running_loop().call_soon(turn)

        result = await _once(source, Answers(), None, f"cancelled at turn {n}", act=start)
        ended_first = left > 0
        left = 0
        yield Run("cancellation", n, result)
        if ended_first:
            if not same(result, expected):
                raise Anomaly(f"nothing was cancelled, and yet: {result.status} {result.error}")
            return
        if result.status != "cancelled" and not same(result, expected):
            raise Anomaly(f"cancelled at turn {n}: {result.status} {result.error}")
        if runs is not None and n >= runs:
            return


class FailingStore(MemoryStore):
    """A store whose operation of number ``failing`` does not work."""

    def __init__(self, failing: int) -> None:
        super().__init__()
        self.operations = 0
        self._failing = failing

    def _count(self) -> None:
        self.operations += 1
        if self.operations == self._failing:
            raise StoreError("the disk is full")

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write, unless it is this operation's turn to fail."""
        self._count()
        await super().put(namespace, key, value, preview)

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Read, unless it is this operation's turn to fail."""
        self._count()
        return await super().get(namespace, key)


async def store(source: str, runs: int | None = None) -> AsyncIterator[Run]:
    """The store fails on operation N."""
    expected = await plain(source)
    n = 0
    while runs is None or n < runs:
        n += 1
        failing = FailingStore(n)
        result = await _once(source, Answers(), None, f"operation {n} of the store fails", store=failing)
        yield Run("store", n, result)
        if failing.operations < n:
            if not same(result, expected):
                raise Anomaly(f"no operation failed, and yet: {result.status} {result.error}")
            return
        if result.status not in ("ok", "finished", "error"):
            raise Anomaly(f"operation {n} of the store fails: {result.status} {result.error}")


def _limit(result: Result, kind: str) -> bool:
    return result.status == "limit" and result.error is not None and result.error.kind == kind


SWEEPS: dict[str, Callable[..., AsyncIterator[Run]]] = {
    "fuel": fuel,
    "memory": memory,
    "calls": calls,
    "cancellation": cancellation,
    "store": store,
}
