"""A call that failed in a way that may pass is sent again: one rule for all providers.

The pause before the next try doubles from try to try, half of it by chance, so that calls that failed
together do not come back together; what the server asks for (Retry-After) is waited for whole. A refusal
for now (429, or a failure with a Retry-After) slows all calls down, not only the refused one: see ``pace``.
Nothing is waited for that the call has no time left for.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final, TypeVar

from rlm_wasm.errors import ProviderError, RateLimited, UsageError
from rlm_wasm.providers import tries
from rlm_wasm.providers.pace import Pace
from rlm_wasm.providers.per_loop import PerLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

DEFAULT_RETRIES: Final = 2
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
"""Of those that nobody asked for."""
WORTH_A_WORD_S: Final = 1.0
"""Shorter waits nobody notices."""

log = logging.getLogger("rlm_wasm.providers")


class Retries:
    """The tries of a provider's calls. ``retries``: how often a call is sent again, at the most.

    ``draw`` gives numbers from 0 to 1, for the part of a pause that is left to chance. Raises UsageError for
    a negative number of retries.
    """

    def __init__(
        self,
        retries: int = DEFAULT_RETRIES,
        *,
        draw: Callable[[], float] = random.random,  # noqa: S311  # a pause is no secret
    ) -> None:
        if type(retries) is not int or retries < 0:
            raise UsageError(f"retries must be a whole number from 0, got {retries!r}")
        self._most = retries
        self._draw = draw
        self._paces = PerLoop(Pace)

    async def run(
        self,
        ask: Callable[[float | None], Awaitable[T]],
        *,
        timeout_s: float | None = None,
        where: str = "the provider",
    ) -> T:
        """Call ``ask``, with the seconds that are left, until it answers.

        ``timeout_s`` is the time that all tries have together: it ends no try, but no pause goes beyond it.
        ``where`` names the server in errors. What ``ask`` raises in its last try is raised.
        """
        loop, pace = asyncio.get_running_loop(), self._paces.here()
        until = None if timeout_s is None else loop.time() + timeout_s
        tried = 0
        while True:
            self._check_pause(pace, until, where)
            of_round = await pace.enter()
            answered = False
            told = tries.count()
            try:
                answer = await ask(None if until is None else max(until - loop.time(), 0.001))
                answered = True
                return answer
            except ProviderError as error:
                if error.retryable and tries.count() == told:  # a provider that says nothing of its tries
                    tries.begins()
                    if error.status is not None:
                        tries.answered(error.status)
                pause_s = self._pause_s(error, tried)
                slows_all = error.retryable and _is_for_now(error)
                if slows_all:
                    self._slow_down(pace, of_round, pause_s, where)
                late = until is not None and loop.time() + pause_s >= until
                if not error.retryable or error.answered or tried == self._most or late:
                    raise
            finally:
                pace.leave(answered=answered)
            tried += 1
            if not slows_all:
                await asyncio.sleep(pause_s)

    def _pause_s(self, error: ProviderError, tried: int) -> float:
        if error.retry_after_s:  # 0 says nothing: who comes back at once, again and again, is no help
            return error.retry_after_s
        longest = min(FIRST_PAUSE_S * 2.0 ** min(tried, 30), LONGEST_PAUSE_S)
        return longest * (1.0 + self._draw()) / 2.0

    @staticmethod
    def _slow_down(pace: Pace, of_round: int, pause_s: float, where: str) -> None:
        before = pace.at_once
        pace.slow_down(of_round, pause_s)
        at_once = pace.at_once
        if at_once != before:
            calls = "1 call" if at_once == 1 else f"{at_once} calls"
            level = logging.INFO if pause_s >= WORTH_A_WORD_S else logging.DEBUG
            log.log(
                level, "%s refuses for now: waiting %.3g s, then at most %s at once", where, pause_s, calls
            )

    @staticmethod
    def _check_pause(pace: Pace, until: float | None, where: str) -> None:
        """A call whose time is over before the pause is fails at once."""
        pause_s = pace.pause_s()
        if until is not None and pause_s and asyncio.get_running_loop().time() + pause_s >= until:
            raise RateLimited(
                f"{where} refused an earlier call and wants no other for {pause_s:.3g} s more, when this"
                " call's time is over: it was not sent",
                retry_after_s=pause_s,
            )


def _is_for_now(error: ProviderError) -> bool:
    return isinstance(error, RateLimited) or error.retry_after_s is not None
