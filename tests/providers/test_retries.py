"""Calls that are sent again, and the pace that all calls of a provider keep: on a virtual clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Completion, CompletionRequest, Limits, ProviderError, Runtime
from rlm_wasm.errors import ProviderTimeout, RateLimited, UsageError
from rlm_wasm.providers import OpenAIProvider, RetryProvider, resolve_provider
from rlm_wasm.providers.pace import Pace
from rlm_wasm.providers.retries import Retries
from rlm_wasm.testing import Fault, InlineProvider, OpenAIServer, simulate


def ask(number: int = 1, **options: Any) -> CompletionRequest:
    """A request."""
    return CompletionRequest(id=number, instruction=f"question {number}", **options)


class Server:
    """Takes a second for a call, and refuses what goes beyond its places; ``errors`` come first."""

    def __init__(self, *errors: Exception, places: int = 1_000, retry_after_s: float | None = None) -> None:
        self.errors = list(errors)
        self.places = places
        self.retry_after_s = retry_after_s
        self.at_work = self.peak = self.refused = 0
        self.sent_at: list[float] = []
        self.timeouts: list[float | None] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer, fail, or refuse."""
        self.sent_at.append(asyncio.get_running_loop().time())
        self.timeouts.append(request.timeout_s)
        if self.errors:
            raise self.errors.pop(0)
        if self.at_work >= self.places:
            self.refused += 1
            raise RateLimited("busy", retry_after_s=self.retry_after_s)
        self.at_work += 1
        self.peak = max(self.peak, self.at_work)
        try:
            await asyncio.sleep(1)
        finally:
            self.at_work -= 1
        return Completion(text=f"answer {request.id}")


def passing(message: str = "broken", **options: Any) -> ProviderError:
    """A failure that may pass."""
    return ProviderError(message, retryable=True, **options)


async def all_of(provider: Any, count: int) -> list[str]:
    """The answers to so many calls at once."""
    return [c.text for c in await asyncio.gather(*(provider.complete(ask(n)) for n in range(count)))]


def test_what_may_pass_is_sent_again_after_pauses_that_double() -> None:
    """Half of a pause is left to chance: between 0.25 and 0.5 s, 0.5 and 1 s, 1 and 2 s."""
    server = Server(passing(), passing(), passing())
    answer, _ = simulate(RetryProvider(server, 3).complete(ask()))
    first, *later = server.sent_at
    pauses = [after - before for before, after in zip(server.sent_at, later, strict=False)]
    assert answer.text == "answer 1"
    assert first == 0
    for pause, longest in zip(pauses, (0.5, 1.0, 2.0), strict=True):
        assert longest / 2 <= pause <= longest


def test_after_the_last_try_the_failure_is_raised_as_it_came() -> None:
    """With what the provider said."""
    server = Server(passing("first"), passing("second"), passing("third"))
    with pytest.raises(ProviderError, match="second"):
        simulate(RetryProvider(server, 1).complete(ask()))
    assert len(server.sent_at) == 2


@pytest.mark.parametrize(
    "error", [ProviderError("bad key", status=401), RateLimited("no quota", retryable=False)]
)
def test_what_will_not_pass_is_not_sent_again(error: ProviderError) -> None:
    """Nor does it slow the others down: a quota that is used up does not come back in a second."""
    server = Server(error)
    provider = RetryProvider(server, 5)

    async def twice() -> None:
        with pytest.raises(type(error)):
            await provider.complete(ask())
        await all_of(provider, 50)

    _, seconds = simulate(twice())
    assert (len(server.sent_at), server.peak, seconds) == (51, 50, 1)


def test_an_answer_that_is_billed_is_not_asked_for_again() -> None:
    """Though another one might be better."""

    class Useless(ProviderError):
        answered = True

    server = Server(Useless("empty", retryable=True))
    with pytest.raises(Useless):
        simulate(RetryProvider(server, 5).complete(ask()))
    assert len(server.sent_at) == 1


def test_retry_after_is_waited_for_whole() -> None:
    """Not less, and no longer than that."""
    server = Server(RateLimited("busy", retry_after_s=7), passing(retry_after_s=3, status=503))
    simulate(RetryProvider(server).complete(ask()))
    assert server.sent_at == [0, 7, 10]


def test_a_429_holds_all_calls_back() -> None:
    """Those that come later, too: nothing is sent before the server said that it would be ready."""
    server = Server(RateLimited("busy", retry_after_s=30))
    provider = RetryProvider(server)

    async def main() -> None:
        first = asyncio.ensure_future(provider.complete(ask(1)))
        await asyncio.sleep(5)
        await asyncio.gather(first, provider.complete(ask(2)), provider.complete(ask(3)))

    simulate(main())
    assert server.sent_at[0] == 0
    assert all(at >= 30 for at in server.sent_at[1:])


def test_a_429_halves_what_is_in_flight_and_answers_raise_it_one_by_one() -> None:
    """Additive increase, multiplicative decrease: the bound is found with few refusals."""
    server = Server(places=10, retry_after_s=1)
    answers, _ = simulate(all_of(RetryProvider(server, 20), 200))
    assert answers == [f"answer {n}" for n in range(200)]
    assert server.peak <= 10
    assert server.refused <= 190 + 60  # the first volley, before anybody knew; then a few a round

    async def again() -> tuple[int, int]:
        provider = RetryProvider(server, 20)
        await all_of(provider, 200)
        before = server.refused
        await all_of(provider, 200)
        return before, server.refused

    (before, after), _ = simulate(again())
    assert after - before <= 40  # it has learnt


def test_one_volley_of_refusals_halves_once() -> None:
    """Twenty calls that were sent together and refused together say one thing, not twenty."""

    async def main() -> int | None:
        pace = Pace()
        rounds = [await pace.enter() for _ in range(20)]
        for of_round in rounds:
            pace.slow_down(of_round, 1.0)
            pace.leave()
        return pace.at_once

    at_once, _ = simulate(main())
    assert at_once == 10


def test_a_call_that_has_no_time_for_the_pause_fails_at_once() -> None:
    """With the refusal itself, and how long it would have to wait; others that come meanwhile, likewise."""
    server = Server(RateLimited("busy", retry_after_s=100))
    provider = RetryProvider(server)

    async def main() -> None:
        with pytest.raises(RateLimited, match="busy"):
            await provider.complete(ask(1, timeout_s=60))
        with pytest.raises(RateLimited, match=r"for 100 s more.*not sent") as caught:
            await provider.complete(ask(2, timeout_s=60))
        assert caught.value.retry_after_s == 100

    _, seconds = simulate(main())
    assert (seconds, server.sent_at) == (0, [0])


def test_a_request_s_time_covers_all_tries() -> None:
    """Each is told what is left."""
    server = Server(RateLimited("busy", retry_after_s=7))
    simulate(RetryProvider(server).complete(ask(timeout_s=20)))
    assert server.timeouts == [20, 13]


def test_a_cancelled_call_leaves_its_place_to_the_next() -> None:
    """While it waits, and when it was just let in."""

    async def main() -> list[int]:
        pace = Pace()
        of_round = await pace.enter()
        pace.slow_down(of_round, 1.0)  # from now on one at a time
        waiting = [asyncio.ensure_future(pace.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(2)
        pace.leave()
        waiting[1].cancel()  # it has its place, and has not run yet
        await asyncio.wait(waiting, timeout=5)
        return [n for n, task in enumerate(waiting) if not task.cancelled()]

    done, _ = simulate(main())
    assert done == [2]


def test_a_second_event_loop_begins_anew() -> None:
    """One provider may serve several scripts' loops: no pause and no place of the first one counts."""
    server = Server(RateLimited("busy", retry_after_s=1_000))
    provider = RetryProvider(server, 0)
    with pytest.raises(RateLimited):
        simulate(provider.complete(ask()))
    answer, seconds = simulate(provider.complete(ask()))
    assert (answer.text, seconds) == ("answer 1", 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 60), st.one_of(st.none(), st.floats(0, 5)), st.randoms())
def test_every_call_is_answered_once_and_no_place_is_lost(
    places: int, calls: int, retry_after_s: float | None, chance: Any
) -> None:
    """Whatever room the server has, whichever calls are cancelled."""
    server = Server(places=places, retry_after_s=retry_after_s)
    provider = RetryProvider(server, 10_000)

    async def main() -> None:
        tasks = [asyncio.ensure_future(provider.complete(ask(n))) for n in range(calls)]
        await asyncio.sleep(chance.random() * 5)
        dropped = chance.sample(range(calls), chance.randint(0, calls - 1))
        for n in dropped:
            tasks[n].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for n, answer in enumerate(done):
            assert isinstance(answer, asyncio.CancelledError) or answer.text == f"answer {n}"
            assert n in dropped or isinstance(answer, Completion)
        assert (await provider.complete(ask(calls))).text == f"answer {calls}"

    simulate(main())
    assert server.peak <= places


def test_who_waits_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Once for a volley of refusals."""
    caplog.set_level(logging.INFO, "rlm_wasm.providers")
    simulate(all_of(RetryProvider(Server(places=4, retry_after_s=2), 20), 8))
    said = [record.message for record in caplog.records]
    assert said[0] == "Server refuses for now: waiting 2 s, then at most 2 calls at once"


@pytest.mark.parametrize("retries", [-1, 1.5, True, "3"])
def test_a_number_of_retries_is_a_whole_one(retries: Any) -> None:
    """Wherever it is given."""
    with pytest.raises(UsageError, match="retries must be a whole number"):
        Retries(retries)
    with pytest.raises(UsageError, match="retries must be a whole number"):
        Runtime("echo", retries=retries)


async def test_a_runtime_s_retries_are_those_of_its_provider() -> None:
    """For openai by its own rule, for any other by a wrapper, for what reaches no network by none."""
    async with OpenAIServer() as server:
        server.next(*[Fault.rate_limit(retry_after_s=0.01)] * 6)
        async with Runtime("openai", base_url=server.base_url, retries=3, python="off") as runtime:
            result = await runtime.run('(llm-query #:instruction "hi")')
        assert "refused for now" in result.error.message
        assert len(server.requests) == 4
    assert isinstance(resolve_provider(InlineProvider(), retries=3), InlineProvider)
    plain = Server()
    assert isinstance(resolve_provider(plain, retries=3), RetryProvider)
    assert resolve_provider(plain, retries=0) is plain
    assert resolve_provider(plain) is plain


async def test_the_openai_provider_slows_all_calls_down_by_itself() -> None:
    """No wrapper is needed: the second call is not sent while the first one's pause lasts."""
    async with OpenAIServer() as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=0)
        server.next(Fault.rate_limit(retry_after_s=50))
        with pytest.raises(RateLimited):
            await provider.complete(ask(1))
        with pytest.raises(RateLimited, match="was not sent"):
            await provider.complete(ask(2, timeout_s=10))
        assert len(server.requests) == 1
        await provider.aclose()


@pytest.mark.parametrize(("said", "status", "requests"), [("true", 400, 2), ("false", 500, 1)])
async def test_a_server_says_itself_whether_to_come_back(said: str, status: int, requests: int) -> None:
    """By ``x-should-retry``, whatever the status is."""
    async with OpenAIServer() as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=1)
        fault = Fault.error(status, headers={"x-should-retry": said, "Retry-After": "0.01"})
        server.next(fault, fault)
        with pytest.raises(ProviderError):
            await provider.complete(ask())
        assert len(server.requests) == requests
        await provider.aclose()


def test_the_tries_of_any_provider_stand_in_the_run_log() -> None:
    """Also of one that says nothing of them itself."""
    seen: list[Any] = []
    provider = Server(passing("first", status=503), passing("second"))

    async def main() -> Any:
        async with Runtime(provider, retries=2, log=seen.append, python="off") as runtime:
            return await runtime.run('(llm-query #:instruction "hi")')

    result, _ = simulate(main())
    assert result.ok
    tried = [(event.attempt, event.status) for event in seen if type(event).__name__ == "CallTried"]
    assert tried == [(1, 503), (2, None)]


def test_a_timeout_of_one_try_is_not_waited_for_beyond_the_call_s_time() -> None:
    """A provider that took all of it has no second try."""

    async def slow(left_s: float | None) -> str:
        assert left_s is not None
        await asyncio.sleep(left_s)
        raise ProviderTimeout("too slow")

    async def main(ask: Callable[[float | None], Awaitable[str]]) -> None:
        with pytest.raises(ProviderTimeout):
            await Retries(3).run(ask, timeout_s=5)

    _, seconds = simulate(main(slow))
    assert seconds == 5


def test_a_whole_program_gets_through_a_server_that_refuses() -> None:
    """A fan-out of forty over a server with room for three."""
    server = Server(places=3, retry_after_s=2)
    program = "(length (map-async (lambda (n) (llm-query-async #:instruction (~a n))) (range 40)))"

    async def main() -> Any:
        async with Runtime(server, retries=30, limits=Limits(timeout_s=10_000), python="off") as runtime:
            return await runtime.run(program)

    result, _ = simulate(main())
    assert (result.value, result.execution.calls) == ("40", 40), result.error
