"""The workplace of ``Session.ask``: calls and programs under one account for the whole question.

Of calls, tokens, money and time a part is kept back, so that there can be a last word.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rlm_wasm.asking.bounds import in_line
from rlm_wasm.errors import ExecutionCancelled, LimitExceeded
from rlm_wasm.results import Execution, seconds

if TYPE_CHECKING:
    from rlm_wasm.asking.progress import KeptStep
    from rlm_wasm.limits import Limits
    from rlm_wasm.llm.calls import LlmCalls
    from rlm_wasm.providers.base import Completion
    from rlm_wasm.results import Problem, Result
    from rlm_wasm.scope_log import ScopeLog

KEPT_S = 30.0
"""Seconds that are kept back for a last word, at the most; a tenth where the time is short."""
CHECK_S = 10.0
"""Seconds that the check of a program may take."""

RunStep = Callable[[str, float, int], Awaitable["Result"]]
"""Runs a program in so many seconds, on so much fuel."""


class Kept(Protocol):
    """What is known of the iteration under way, maybe from another process."""

    def call(self) -> int | None:
        """The number of the model's next call, where that was made before."""
        ...

    def called(self, number: int) -> None:
        """The model is called; the call has this number."""
        ...

    @property
    def result_of_step(self) -> Result | None:
        """Of the iteration's program, where that is over."""
        ...


CheckStep = Callable[[str, float], Awaitable[Sequence["Problem"]]]
"""Checks a program, in so many seconds."""


class OwnPlace:
    """Where a session's own question is worked on."""

    def __init__(
        self,
        calls: LlmCalls,
        limits: Limits,
        log: ScopeLog,
        *,
        model: str | None,
        timeout_s: float | None,
        run: RunStep,
        check: CheckStep,
        chapter: Callable[[str], None],
        kept: Kept,
        suspended: Callable[[], bool],
        from_step: KeptStep | None,
    ) -> None:
        """``chapter`` is told of each iteration before it begins.

        ``suspended``: whether the iteration's program is in its middle. ``from_step``: the last that is over.
        """
        self._kept = kept
        self._suspended = suspended
        self._calls = calls
        self._limits = limits
        self._log = log
        self._model = model
        self._run = run
        self._check = check
        self._chapter = chapter
        self._iterations = 0 if from_step is None else from_step.step.number
        self._began = time.monotonic() - (0.0 if from_step is None else from_step.elapsed)
        self._timeout_s = limits.timeout_s if timeout_s is None else min(float(timeout_s), limits.timeout_s)
        self._kept_s = min(KEPT_S, self._timeout_s / 10)
        self._fuel = 0 if from_step is None else from_step.fuel
        self._memory = 0 if from_step is None else from_step.memory_bytes
        self._pending: asyncio.Future[Completion] | None = None
        self._cancelled = False
        self._last = False
        calls.budget.keep_back()

    def cancel(self) -> None:
        """End it: the call that is under way, and whatever would come next."""
        self._cancelled = True
        if self._pending is not None:
            self._pending.cancel()

    def close(self) -> None:
        """Nothing is kept back any longer."""
        self._calls.budget.release_kept()

    async def ask(
        self, instruction: str, data: str, *, last: bool = False, max_tokens: int | None = None
    ) -> Completion:
        """Ask the model that writes the programs. Raises LimitExceeded, ExecutionCancelled."""
        if not last:
            self._iterations += 1
            self._chapter(f"Iteration {self._iterations}")
        elif not self._last:
            self._last = True
            self._calls.budget.release_kept()
            self._chapter("The last word")
        left = self._time_left(last=last)
        made = self._kept.call()
        request = self._calls.own_request(
            instruction,
            data,
            model=self._model,
            timeout_s=left,
            max_tokens=max_tokens,
            purpose="query" if last else "program",
            number=made,
        )
        if made is None:
            self._kept.called(request.id)
        entry = None if made is None else self._log.by_call().get(made)
        if entry is None:
            entry = self._log.add(
                "ask", in_line(data, 80), "root", call_id=request.id, model=request.model, depth=request.depth
            )
        self._pending = asyncio.ensure_future(self._calls.ask(request, "last-word" if last else "ask"))
        try:
            async with asyncio.timeout(left):
                completion: Completion = await self._pending
        except TimeoutError:
            self._log.change(entry, status="failed: timeout_s")
            raise self._too_late() from None
        except asyncio.CancelledError:
            self._log.change(entry, status="cancelled")
            if self._cancelled:
                raise ExecutionCancelled("the ask was cancelled") from None
            raise
        except Exception as error:
            self._log.change(entry, status=f"failed: {error}"[:200])
            raise
        finally:
            self._pending = None
        tokens = completion.prompt_tokens + completion.completion_tokens
        model = completion.model[:80] or request.model
        self._log.change(entry, tokens=tokens, cached=completion.cached, status="done", model=model)
        return completion

    async def check(self, program: str) -> Sequence[Problem]:
        """What is wrong with a program; nothing where that takes too long, or was found out before."""
        if self._suspended() or self._kept.result_of_step is not None:
            return ()
        try:
            return await self._check(program, min(CHECK_S, self._time_left()))
        except LimitExceeded:
            return ()

    async def run(self, program: str) -> Result:
        """Run a program on what is left."""
        left, fuel = self._time_left(), self._limits.fuel - self._fuel
        if fuel <= 0:
            raise self._no_fuel()
        if not self._iterations:
            self._chapter("The planner's program")
        result = self._kept.result_of_step
        if result is None:
            result = await self._run(program, left, fuel)
        self._fuel += result.execution.fuel
        self._memory = max(self._memory, result.execution.memory_bytes)
        error = result.error
        if result.status != "limit" or error is None or error.kind not in ("timeout_s", "fuel"):
            return result
        # The program's own share was used: what is said is about the whole.
        used = self._too_late() if error.kind == "timeout_s" else self._no_fuel()
        return replace(result, error=replace(error, message=str(used), used=used.used, limit=used.limit))

    def _time_left(self, *, last: bool = False) -> float:
        if self._cancelled:
            raise ExecutionCancelled("the ask was cancelled")
        left = self._timeout_s - (time.monotonic() - self._began) - (0.0 if last else self._kept_s)
        if left <= 0:
            raise self._too_late()
        return left

    def _no_fuel(self) -> LimitExceeded:
        return LimitExceeded("fuel", self._fuel, self._limits.fuel)

    def _too_late(self) -> LimitExceeded:
        used = round(time.monotonic() - self._began, 3)
        return LimitExceeded(
            "timeout_s",
            used,
            self._timeout_s,
            f"limit exceeded: timeout_s (used {used:g}, limit {self._timeout_s:g}, of which {self._kept_s:g} "
            "are kept for a last word)",
        )

    def used(self) -> Execution:
        """What was used so far."""
        return self._calls.budget.execution.to_execution(
            elapsed=time.monotonic() - self._began, fuel=self._fuel, memory_bytes=self._memory
        )

    def left(self) -> str:
        """What may still be used, in words."""
        return f"{self._calls.left_in_words()}, {seconds(max(self._time_left(), 0.0))}"
