"""Fixtures for tests of programs: a runtime, a session, a scripted provider, and what was used.

pytest finds them by the entry point ``rlm_wasm``. Nothing is imported until a test asks for one, and
the fixtures are plain ones: whatever runs a suite's asynchronous tests (pytest-asyncio, anyio) runs
these too, and ``asyncio.run`` does in a plain test.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

if TYPE_CHECKING:
    from types import TracebackType

    from rlm_wasm import Result, Runtime, Session
    from rlm_wasm.testing import ScriptedProvider


class WatchedSession:
    """A Session that keeps the Results of its executions, in ``results``. All else is the Session's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.results: list[Result] = []

    async def execute(self, source: str, **options: Any) -> Result:
        """Run a program as ``Session.execute`` does, and keep its Result."""
        result = await self._session.execute(source, **options)
        self.results.append(result)
        return result

    async def resume(self, **options: Any) -> Result:
        """Go on as ``Session.resume`` does, and keep the Result."""
        result = await self._session.resume(**options)
        self.results.append(result)
        return result

    async def stream(self, source: str, **options: Any) -> AsyncIterator[Any]:
        """Run a program as ``Session.stream`` does, and keep its Result, which comes last."""
        from rlm_wasm.results import Result

        running = cast("AsyncGenerator[Any, None]", self._session.stream(source, **options))
        async with contextlib.aclosing(running) as events:  # who stops reading cancels the execution
            async for event in events:
                if isinstance(event, Result):
                    self.results.append(event)
                yield event

    async def __aenter__(self) -> Self:
        return self  # Python looks for these two in the class, past __getattr__

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.aclose()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class UsedLimits:
    """What ``rlm_session`` used, held against bounds."""

    def __init__(self, session: WatchedSession) -> None:
        self._session = session

    def assert_within(self, result: Result | None = None, **bounds: float) -> None:
        """Fail the test where an execution used more than a bound, or did not come to its end.

        ``result`` is that of one execution; without it, the last of ``rlm_session``. The bounds are by
        the names of ``Result.execution``: ``fuel`` (instructions, exact and the same on every machine),
        ``memory_bytes`` (what the heap holds at the end), ``calls``, ``tokens``, ``prompt_tokens``,
        ``completion_tokens``, ``cached``, ``cost_usd`` (dollars), ``elapsed`` (seconds); and
        ``output_bytes``, the longest of standard output, standard error and the value.

        Raises:
            AssertionError: a bound does not hold, with every figure that is over its bound.
            UsageError: a bound has no such name or is no number, none is given, what is given is no
                Result, or nothing was executed.
        """
        from rlm_wasm.errors import UsageError
        from rlm_wasm.results import Result

        if result is None:
            if not self._session.results:
                raise UsageError("assert_within: nothing was executed in rlm_session; give a result")
            result = self._session.results[-1]
        elif not isinstance(result, Result):
            raise UsageError(
                f"assert_within: {type(result).__name__} is no Result; "
                "bounds are given by name, as in fuel=1_000_000"
            )
        used = _figures(result)
        unknown = sorted(set(bounds) - set(used))
        if unknown or not bounds:
            what = f"unknown bounds {', '.join(unknown)}" if unknown else "no bounds"
            raise UsageError(f"assert_within: {what}. There are: {', '.join(used)}")
        for name, bound in bounds.items():
            if isinstance(bound, bool) or not isinstance(bound, int | float) or math.isnan(bound):
                raise UsageError(f"assert_within: the bound of {name} must be a number, not {bound!r}")
        assert result.ok, f"the program did not come to its end: {result.status}: {result.error}"
        over = [
            f"{name}: used {_figure(used[name])}, bound {_figure(bound)}"
            for name, bound in bounds.items()
            if not _at_most(used[name], bound)
        ]
        assert not over, "over its bounds: " + "; ".join(over)


def _figures(result: Result) -> dict[str, float | None]:
    """What has a number: who answered is no bound."""
    from dataclasses import asdict

    texts = (result.stdout, result.stderr, result.value)
    used = asdict(result.execution)
    del used["provider"], used["models"]
    return {**used, "output_bytes": max(len(text.encode()) for text in texts)}


def _at_most(value: float | None, bound: float) -> bool:
    """A cost that is unknown is within no bound."""
    return value is not None and value <= bound


def _figure(value: float | None) -> str:
    """A figure for a message: "1,234", "0.25", "unknown"."""
    return "unknown" if value is None else f"{value:,}"


@pytest.fixture
def rlm_provider() -> ScriptedProvider:
    """A provider that answers "scripted answer 1", "scripted answer 2", …, and keeps its ``requests``.

    A suite that wants other answers defines a fixture of the same name.
    """
    from rlm_wasm.testing import ScriptedProvider

    return ScriptedProvider()


@pytest.fixture
def rlm_runtime(rlm_provider: Any) -> Iterator[Runtime]:
    """A Runtime over ``rlm_provider``; it is closed after the test."""
    from rlm_wasm import Runtime

    runtime = Runtime(provider=rlm_provider)
    yield runtime
    asyncio.run(runtime.aclose())


@pytest.fixture
def rlm_session(rlm_runtime: Runtime) -> WatchedSession:
    """A session of ``rlm_runtime``, whose Results ``rlm_limits`` looks at; the runtime closes it."""
    return WatchedSession(rlm_runtime.session())


@pytest.fixture
def rlm_limits(rlm_session: WatchedSession) -> UsedLimits:
    """``assert_within(fuel=…, memory_bytes=…)`` for what ``rlm_session`` executed."""
    return UsedLimits(rlm_session)
