"""Scripted, echo, gated and simulated providers, and the virtual clock."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from rlm_wasm.errors import ProviderError, RateLimited
from rlm_wasm.providers import Completion, CompletionRequest, EchoProvider, ScriptedProvider
from rlm_wasm.providers.prices import Price
from rlm_wasm.testing import (
    GatedProvider,
    InlineProvider,
    Latency,
    SimulatedModel,
    SimulatedProvider,
    bracketed,
    simulate,
)


def ask(instruction: str = "Say it", data: str = "", **options: object) -> CompletionRequest:
    """A request with defaults."""
    return CompletionRequest(id=1, instruction=instruction, data=data, **options)  # type: ignore[arg-type]


async def test_a_list_is_answered_in_order_and_ends_with_an_error_that_shows_the_prompt() -> None:
    """Exceptions are raised, data is given as JSON text, a Completion as it is."""
    done = Completion(text="c", model="m", prompt_tokens=5)
    provider = ScriptedProvider(["a", RateLimited("busy"), {"k": [1]}, done])
    assert (await provider.complete(ask())).text == "a"
    with pytest.raises(RateLimited, match="busy"):
        await provider.complete(ask())
    assert (await provider.complete(ask())).text == '{"k": [1]}'
    assert await provider.complete(ask()) is done
    with pytest.raises(ProviderError, match="call 5: 'Who'"):
        await provider.complete(ask("Who"))
    assert len(provider.requests) == 5


async def test_a_mapping_is_searched_by_parts_of_the_prompt() -> None:
    """In its order; the empty part fits everything."""
    provider = ScriptedProvider({"capital": "Paris", "": lambda request: request.data.upper()})
    assert (await provider.complete(ask("the capital?"))).text == "Paris"
    assert (await provider.complete(ask("else", "x"))).text == "X"
    with pytest.raises(ProviderError, match="no answer in the script fits"):
        await ScriptedProvider({"a": "b"}).complete(ask("zzz"))


async def test_a_function_may_be_async_and_the_peak_is_counted() -> None:
    """How many calls were in flight at once."""

    async def slowly(request: CompletionRequest) -> str:
        await asyncio.sleep(0)
        return request.data

    provider = ScriptedProvider(slowly)
    await asyncio.gather(*(provider.complete(ask(data=str(i))) for i in range(5)))
    assert (provider.peak, provider.in_flight) == (5, 0)


async def test_without_a_script_answers_are_numbered() -> None:
    """As JSON where it is asked for."""
    provider = ScriptedProvider()
    assert (await provider.complete(ask())).text == "scripted answer 1"
    assert json.loads((await provider.complete(ask(json=True))).text) == {"answer": "scripted answer 2"}


def test_a_text_is_no_script() -> None:
    """It would be answered letter by letter."""
    with pytest.raises(TypeError, match="a list of answers"):
        ScriptedProvider("hello")


async def test_echo_says_back_the_data_or_else_the_instruction() -> None:
    """Both, as an object, in JSON mode."""
    echo = EchoProvider()
    assert (await echo.complete(ask("i", "d"))).text == "d"
    assert (await echo.complete(ask("i"))).text == "i"
    said = json.loads((await echo.complete(ask("i", "d", json=True))).text)
    assert said == {"instruction": "i", "data": "d"}


async def test_gated_calls_end_when_the_test_says_so() -> None:
    """In any order, and failing or cancelled as well."""
    gated = GatedProvider()
    calls = [asyncio.ensure_future(gated.complete(ask(data=str(i)))) for i in range(4)]
    assert [r.data for r in await gated.arrived(4)] == ["0", "1", "2", "3"]
    gated.release(2, "second")
    gated.fail(ProviderError("no"), 0)
    calls[1].cancel()
    await asyncio.wait(calls[:3])
    assert calls[2].result().text == "second"
    assert isinstance(calls[0].exception(), ProviderError)
    assert [r.data for r in gated.cancelled] == ["1"]
    gated.release_all()
    assert (await calls[3]).text == "3"
    assert gated.peak == 4


async def test_gated_calls_are_let_through_by_number_and_answered_by_a_function() -> None:
    """Fewer than were asked for are no mistake; a text given on release goes before the function."""
    gated = GatedProvider(lambda request: Completion(text=request.data * 2, model="m", prompt_tokens=3))
    calls = [asyncio.ensure_future(gated.complete(ask(data=str(i)))) for i in range(4)]
    await gated.arrived(4)
    gated.release(-1, "last")
    gated.release_many(2)
    gated.release_many(100)
    gated.release_many(1)
    assert [(await call).text for call in calls] == ["00", "11", "22", "last"]
    assert (await calls[0]).prompt_tokens == 3


async def test_calls_that_never_come_are_waited_for_no_longer_than_said() -> None:
    """The error tells how many there are; whoever waits for fewer is not disturbed."""
    gated = GatedProvider()
    calls = [
        asyncio.ensure_future(gated.arrived(count, timeout_s)) for count, timeout_s in ((2, 30), (3, 0.01))
    ]
    await asyncio.sleep(0)
    asked = [asyncio.ensure_future(gated.complete(ask(data=str(i)))) for i in range(2)]
    assert [r.data for r in await calls[0]] == ["0", "1"]
    with pytest.raises(TimeoutError, match=r"2 calls are at the gate after 0.01 s, not 3"):
        await calls[1]
    gated.release_all()
    await asyncio.gather(*asked)


def test_inline_calls_are_answered_before_they_can_wait() -> None:
    """By a function, or with the instruction in brackets."""

    def on_the_spot(provider: InlineProvider, request: CompletionRequest) -> Completion:
        with pytest.raises(StopIteration) as stopped:
            provider.complete(request).send(None)
        answer: Completion = stopped.value.value
        return answer

    provider = InlineProvider()
    assert on_the_spot(provider, ask()) == bracketed(ask())
    assert on_the_spot(InlineProvider(lambda r: r.data.upper()), ask(data="x", model="m")).text == "X"
    assert provider.requests == [ask()]


def test_the_virtual_clock_jumps_over_waits() -> None:
    """A day of sleeping takes no time, and waits overlap."""

    async def main() -> str:
        async with asyncio.timeout(90_000):
            await asyncio.gather(asyncio.sleep(86_400), asyncio.sleep(3_600))
        return "done"

    result, seconds = simulate(main())
    assert result == "done"
    assert seconds == pytest.approx(86_400)


def test_simulated_models_are_right_as_often_as_they_should_be() -> None:
    """And the same seed gives the same answers, whatever the order of the calls."""

    def provider() -> SimulatedProvider:
        return SimulatedProvider(
            {"cheap": SimulatedModel(accuracy=0.8, price=Price(1, 2))},
            answers=lambda _request: ["right", "wrong"],
            seed=7,
        )

    async def run(order: list[int]) -> dict[int, str]:
        model = provider()
        found = await asyncio.gather(*(model.complete(ask(data=str(i))) for i in order))
        return {i: completion.text for i, completion in zip(order, found, strict=True)}

    there, _ = simulate(run(list(range(1000))))
    back, _ = simulate(run(list(reversed(range(1000)))))
    assert there == back
    assert 760 < list(there.values()).count("right") < 840
    assert provider().price("cheap", 1_000_000, 1_000_000) == 3


def test_stragglers_make_the_tail() -> None:
    """The 99th percentile is far from the median, as with real services."""
    model = SimulatedModel(latency=Latency(median_s=2, straggler_rate=0.02, straggler_factor=10))
    provider = SimulatedProvider({"m": model})

    async def run() -> None:
        await asyncio.gather(*(provider.complete(ask(data=str(i))) for i in range(2000)))

    simulate(run())
    drawn = sorted(provider.latencies)
    assert 1.8 < drawn[1000] < 2.2
    assert drawn[1980] > 10


def test_no_timer_overtakes_what_a_thread_does_for_the_loop() -> None:
    """A timeout of minutes fired while a module was loaded on a thread."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        go_on.wait()
        return 7

    async def main() -> int:
        waiting = asyncio.create_task(asyncio.sleep(300))
        job = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.to_thread(begun.wait)
        threading.Thread(target=go_on.set).start()
        async with asyncio.timeout(100):
            found = await job
        waiting.cancel()
        return found

    assert simulate(main()) == (7, 0.0)
