"""One provider serves event loops of several threads: none of them takes what belongs to another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest
from rlm_wasm.errors import RateLimited
from rlm_wasm.providers import ConcurrencyProvider, OpenAIProvider, RetryProvider
from rlm_wasm.testing import OpenAIServer

Loop = asyncio.AbstractEventLoop


class Gated:
    """Answers when its gate for the call is open; refuses for now, once, those that are named."""

    def __init__(self, *refused: int) -> None:
        self.refused = list(refused)
        self.asked: list[int] = []
        self.open: set[int] = set()

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        self.asked.append(request.id)
        if request.id in self.refused:
            self.refused.remove(request.id)
            raise RateLimited("busy", retry_after_s=0.001)
        while request.id not in self.open:
            await asyncio.sleep(0)
        return Completion(text=f"answer {request.id}")


@pytest.fixture
def loops() -> Iterator[tuple[Loop, Loop]]:
    """Two event loops, of which now one runs and now the other, as those of two threads may."""
    made = asyncio.new_event_loop(), asyncio.new_event_loop()
    yield made
    for loop in made:
        loop.close()


def started(loop: Loop, provider: Any, number: int) -> asyncio.Task[Completion]:
    """A call, as far as it comes in a few turns."""
    task: asyncio.Task[Completion] = loop.create_task(
        provider.complete(CompletionRequest(id=number, instruction="ask"))
    )
    run(loop, lambda turns: turns == 20)
    return task


def run(loop: Loop, until: Callable[[int], bool]) -> None:
    """Turns of the loop until ``until``, which is given their number, says that it is enough."""

    async def turns() -> None:
        count = 0
        while not until(count):
            count += 1
            await asyncio.sleep(0)

    loop.run_until_complete(turns())


def test_calls_that_wait_behind_a_refusal_are_not_forgotten_for_another_loop(
    loops: tuple[Loop, Loop],
) -> None:
    """Each loop has a queue of its own."""
    first, second = loops
    gated = Gated(1)
    provider = RetryProvider(gated)
    refused = started(first, provider, 1)
    waits = started(first, provider, 2)
    other = started(second, provider, 3)
    gated.open |= {1, 2, 3}
    assert second.run_until_complete(other).text == "answer 3"
    assert first.run_until_complete(asyncio.wait_for(waits, 60)).text == "answer 2"
    assert first.run_until_complete(refused).text == "answer 1"


def test_places_are_handed_over_between_loops(loops: tuple[Loop, Loop]) -> None:
    """A bound holds for all of them together, in the order in which calls came."""
    first, second = loops
    gated = Gated()
    provider = ConcurrencyProvider(gated, 1)
    one, two, three = (started(loop, provider, n) for n, loop in ((1, first), (2, second), (3, first)))
    assert gated.asked == [1]
    gated.open |= {1, 2, 3}
    assert first.run_until_complete(one).text == "answer 1"
    assert gated.asked == [1]
    assert second.run_until_complete(two).text == "answer 2"
    assert gated.asked == [1, 2]
    assert first.run_until_complete(three).text == "answer 3"


def test_a_place_given_to_a_call_that_is_cancelled_goes_to_the_next(loops: tuple[Loop, Loop]) -> None:
    """Whether it was cancelled while it waited, or when it had just been let in."""
    first, second = loops
    gated = Gated()
    provider = ConcurrencyProvider(gated, 1)
    one, two, three, four = (
        started(loop, provider, n) for n, loop in ((1, first), (2, second), (3, second), (4, first))
    )
    two.cancel()  # it waits
    run(second, lambda _turns: two.done())
    gated.open |= {1, 3, 4}
    first.run_until_complete(one)  # and hands its place to the third, whose loop does not run yet
    three.cancel()
    run(second, lambda _turns: three.done())
    assert first.run_until_complete(four).text == "answer 4"
    assert gated.asked == [1, 4]


def test_a_loop_that_was_closed_takes_no_place_with_it(loops: tuple[Loop, Loop]) -> None:
    """Its calls wait no longer."""
    first, _ = loops
    gone = asyncio.new_event_loop()
    gated = Gated()
    provider = ConcurrencyProvider(gated, 1)
    one, lost, three = (started(loop, provider, n) for n, loop in ((1, first), (2, gone), (3, first)))
    gone.close()
    gated.open |= {1, 3}
    first.run_until_complete(one)
    assert first.run_until_complete(three).text == "answer 3"
    assert not lost.done()
    lost.get_coro().close()  # type: ignore[union-attr]


def test_two_threads_share_a_provider_and_each_keeps_its_connections() -> None:
    """A call of the one makes no connection of the other's anew."""
    made: list[Any] = []

    class Counted(OpenAIProvider):
        def _make_client(self) -> Any:
            made.append(threading.get_ident())
            return super()._make_client()

    turn = threading.Barrier(2)

    def thread(provider: OpenAIProvider, told: list[str]) -> None:
        async def several() -> None:
            for _ in range(5):
                turn.wait(60)
                request = CompletionRequest(id=1, instruction="say", data="hello", model="gpt-4o-mini")
                told.append((await provider.complete(request)).text)
            await provider.aclose()

        asyncio.run(several())

    with OpenAIServer() as server:
        provider, told = Counted(base_url=server.base_url, api_key="k"), list[str]()
        threads = [threading.Thread(target=thread, args=(provider, told)) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert told == ["hello"] * 10
    assert len(made) == 2
