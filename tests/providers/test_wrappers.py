"""Wrappers are providers: cache, concurrency, budget, record and replay; and prices."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from genai_prices.data_snapshot import get_snapshot, set_custom_snapshot

from rlm_wasm import Runtime
from rlm_wasm.errors import LimitExceeded, ProviderError, ProviderTimeout, RateLimited, UsageError
from rlm_wasm.providers import (
    BudgetProvider,
    CachedProvider,
    Completion,
    CompletionRequest,
    ConcurrencyProvider,
    EchoProvider,
    MemoryCache,
    RecordingProvider,
    ReplayProvider,
    ScriptedProvider,
)
from rlm_wasm.providers.info import info_of
from rlm_wasm.providers.prices import Price, PriceTable, price_of
from rlm_wasm.providers.wrappers import cache
from rlm_wasm.providers.wrappers.base import content_key
from rlm_wasm.testing import GatedProvider

if TYPE_CHECKING:
    from pathlib import Path


def ask(instruction: str = "Say it", data: str = "", **options: object) -> CompletionRequest:
    """A request with defaults."""
    return CompletionRequest(id=1, instruction=instruction, data=data, **options)  # type: ignore[arg-type]


async def test_the_same_question_at_temperature_0_is_asked_once() -> None:
    """The hit is marked; other models, data and temperatures are other questions."""
    inner = ScriptedProvider()
    cached = CachedProvider(inner)
    first = await cached.complete(ask(temperature=0))
    again = await cached.complete(ask(temperature=0))
    assert (first.cached, again.cached, again.text) == (False, True, first.text)
    for other in (
        ask(temperature=0, model="m"),
        ask("x", temperature=0),
        ask(temperature=0.1),
        ask(),
    ):
        assert not (await cached.complete(other)).cached
    assert (cached.hits, cached.misses, len(inner.requests)) == (1, 3, 5)


async def test_always_keeps_what_is_not_meant_to_be_repeatable() -> None:
    """On request."""
    cached = CachedProvider(ScriptedProvider(), always=True)
    await cached.complete(ask())
    assert (await cached.complete(ask())).cached


async def test_kept_answers_grow_old_and_errors_are_never_kept() -> None:
    """By the clock that is given."""
    now = [0.0]
    inner = ScriptedProvider([RateLimited("busy"), "a", "b"])
    cached = CachedProvider(inner, ttl_s=10, always=True, clock=lambda: now[0])
    with pytest.raises(RateLimited):
        await cached.complete(ask())
    assert (await cached.complete(ask())).text == "a"
    now[0] = 9.9
    assert (await cached.complete(ask())).text == "a"
    now[0] = 10
    assert (await cached.complete(ask())).text == "b"


async def test_the_memory_cache_forgets_what_was_used_least_recently() -> None:
    """Beyond its bound in bytes; damaged entries are misses."""
    store = MemoryCache(max_bytes=20)
    await store.put("a", "12345678")
    await store.put("b", "12345678")
    await store.get("a")
    await store.put("c", "12345678")
    assert [await store.get(k) for k in "abc"] == ["12345678", None, "12345678"]
    await store.put("d", "x" * 100)
    assert len(store) == 2

    class Damaged(MemoryCache):
        async def get(self, key: str) -> str | None:
            return "{" if await super().get(key) else None

    cached = CachedProvider(EchoProvider(), Damaged(), always=True)
    await cached.complete(ask())
    assert not (await cached.complete(ask())).cached


async def test_at_most_so_many_calls_are_in_flight() -> None:
    """The next starts as soon as one ends."""
    gated = GatedProvider()
    limited = ConcurrencyProvider(gated, 2)
    calls = [asyncio.ensure_future(limited.complete(ask(data=str(i)))) for i in range(4)]
    await gated.arrived(2)
    gated.release()
    await calls[0]
    assert [r.data for r in await gated.arrived(2)] == ["1", "2"]
    gated.release_all()
    await gated.arrived(1)
    gated.release_all()
    await asyncio.gather(*calls)
    assert gated.peak == 2
    with pytest.raises(UsageError):
        ConcurrencyProvider(gated, 0)


async def test_a_token_budget_holds_under_any_fan_out() -> None:
    """Worst cases are set aside before anything is sent, and settled by what was used."""
    gated = GatedProvider()
    budget = BudgetProvider(gated, tokens=250)
    calls = [asyncio.ensure_future(budget.complete(ask(data="x", max_tokens=90))) for _ in range(15)]
    await gated.arrived(2)
    while not all(call.done() for call in calls):
        assert budget.tokens_used + 101 * len(gated.waiting) <= 250
        gated.release_all()
        await asyncio.sleep(0)
    assert budget.tokens_used == 13 * 12  # what each really used
    assert len(gated.requests) == 13
    errors = [call.exception() for call in calls if call.exception()]
    assert len(errors) == 2
    assert isinstance(errors[0], LimitExceeded)
    assert (errors[0].kind, errors[0].limit) == ("tokens", 250)
    assert "used 156, reserved by calls in flight 0, asked for 101, limit 250" in str(errors[0])


async def test_a_call_that_does_not_fit_beside_others_waits_until_they_end() -> None:
    """Forty small ones under a ceiling that two fill; what never fits is refused at once."""
    prices = PriceTable({"m": Price(1, 1)})
    gated = GatedProvider(lambda _request: Completion(text="x", model="m", prompt_tokens=1))
    gated.free = False  # type: ignore[misc]
    gated.price = prices.cost_usd  # type: ignore[attr-defined]
    budget = BudgetProvider(gated, cost_usd=0.001)
    calls = [
        asyncio.ensure_future(budget.complete(ask(data="x", model="m", max_tokens=400))) for _ in range(40)
    ]
    await gated.arrived(2)
    with pytest.raises(LimitExceeded, match=r"asked for 0\.00201"):
        await BudgetProvider(gated, cost_usd=0.001).complete(ask(data="x", model="m", max_tokens=2_000))
    while not all(call.done() for call in calls):
        assert len(gated.waiting) <= 2
        gated.release_all()
        await asyncio.sleep(0)
    assert [call.result().text for call in calls] == ["x"] * 40
    assert budget.cost_used_usd == pytest.approx(40e-6)


@pytest.mark.parametrize("how", ["cancelled", "timed out", "answered with nothing"])
async def test_a_call_that_was_sent_in_vain_may_have_cost_all_that_was_set_aside(how: str) -> None:
    """Else one that is cancelled again and again sends without end under any ceiling."""
    fails: dict[str, Exception] = {
        "timed out": ProviderTimeout("too late"),
        "answered with nothing": AnsweredWithNothing("no text in it"),
    }
    gated = GatedProvider()
    budget = BudgetProvider(
        gated if how == "cancelled" else ScriptedProvider([fails[how]] * 50), tokens=1_000
    )
    sent = 0
    while True:
        call = asyncio.ensure_future(budget.complete(ask(data="x", max_tokens=90)))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        if not call.cancelled() and isinstance(call.exception(), LimitExceeded):
            break
        sent += 1
    assert sent == 9
    assert budget.tokens_used == 9 * 11  # their prompts


class AnsweredWithNothing(ProviderError):
    """An answer that is billed, and is no use."""

    answered = True


async def test_a_call_that_is_cancelled_while_it_waits_costs_nothing_and_lets_the_next_go_first() -> None:
    """It was never sent."""
    gated = GatedProvider()
    budget = BudgetProvider(gated, tokens=250)
    first = asyncio.ensure_future(budget.complete(ask(data="x", max_tokens=90)))
    large = asyncio.ensure_future(budget.complete(ask(data="x", max_tokens=190)))
    small = asyncio.ensure_future(budget.complete(ask(data="y", max_tokens=90)))
    await gated.arrived(1)
    assert len(gated.requests) == 1  # the small one does not pass the large one by
    large.cancel()
    await gated.arrived(2)
    assert [request.data for request in gated.requests] == ["x", "y"]
    gated.release_all()
    await asyncio.gather(first, small)
    assert budget.tokens_used == 2 * 12


async def test_a_cost_budget_counts_money_and_refuses_unknown_prices() -> None:
    """Nothing can be promised about a price that nobody knows."""
    prices = PriceTable({"m": Price(1_000_000, 0)})
    answer = Completion(text="x", model="m", prompt_tokens=3)
    budget = BudgetProvider(ScriptedProvider([answer] * 3, model="m", prices=prices), cost_usd=10)
    await budget.complete(ask("a"))
    assert budget.cost_used_usd == 3
    with pytest.raises(LimitExceeded, match="cost_usd"):
        await budget.complete(ask("a" * 40))
    with pytest.raises(UsageError, match="price of nobody-knows is unknown"):
        await budget.complete(ask("a", model="nobody-knows"))
    assert budget.tokens_used == 3


async def test_a_failed_call_gives_its_reservation_back() -> None:
    """It used nothing."""
    budget = BudgetProvider(ScriptedProvider([ProviderError("no"), "ok"]), tokens=120)
    with pytest.raises(ProviderError):
        await budget.complete(ask(max_tokens=100))
    await budget.complete(ask(max_tokens=100))


async def test_a_recording_is_replayed_without_the_provider(tmp_path: Path) -> None:
    """Answers and errors, repeated questions in their order."""
    path = tmp_path / "calls.jsonl"
    recorder = RecordingProvider(ScriptedProvider(["one", "two", RateLimited("busy")]), path)
    await recorder.complete(ask("q"))
    await recorder.complete(ask("q"))
    with pytest.raises(RateLimited):
        await recorder.complete(ask("r"))
    replay = ReplayProvider(path, default_model="scripted")
    texts = [(await replay.complete(ask("q"))).text for _ in range(3)]
    assert texts == ["one", "two", "two"]
    with pytest.raises(RateLimited, match="busy"):
        await replay.complete(ask("r"))
    with pytest.raises(ProviderError, match="holds no answer"):
        await replay.complete(ask("never asked"))


async def test_a_recording_of_an_earlier_version_is_replayed(tmp_path: Path) -> None:
    """With the fields that there were then."""
    path = tmp_path / "calls.jsonl"
    request = ask("q", model="m")
    then = {
        "key": content_key(request, None),
        "request": {"id": 1, "instruction": "q", "data": "", "model": "m", "images": [], "depth": 0},
        "completion": {
            "text": "then", "model": "m", "prompt_tokens": 3, "completion_tokens": 1,
            "finish_reason": "stop", "rate_limits": {}, "cached": False,
        },
    }  # fmt: skip
    path.write_text(json.dumps(then) + "\n")
    answer = await ReplayProvider(path).complete(request)
    assert answer == Completion(text="then", model="m", prompt_tokens=3, completion_tokens=1)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"completion": {"text": 5}}, "completion.text must be text, not 5"),
        ({"completion": {"text": "x", "prompt_tokens": -1}}, "completion.prompt_tokens must be at least 0"),
        ({"completion": {"text": "x", "cost": 1}}, "completion has unknown cost"),
        ({"error": {"type": "SystemExit", "message": "x"}}, "error.type must be 'ProviderError' or"),
        ({}, "either an answer or an error"),
    ],
)
def test_a_recording_that_someone_altered_is_refused(
    tmp_path: Path, entry: dict[str, object], words: str
) -> None:
    """When it is opened, with the line and the field."""
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps({"key": "k", "request": {}, **entry}) + "\n")
    with pytest.raises(UsageError, match=f"damaged at line 1: .*{words}"):
        ReplayProvider(path)


@pytest.mark.parametrize(
    "damage", ["[" * 100_000, '{"at": "1"}', '{"at": NaN, "completion": {"text": ""}}', "5"]
)
async def test_a_damaged_entry_of_the_cache_is_a_miss(damage: str) -> None:
    """And is written anew."""

    class Damaged(MemoryCache):
        async def get(self, key: str) -> str | None:
            return damage

    cached = CachedProvider(EchoProvider(), Damaged(), always=True)
    assert not (await cached.complete(ask())).cached
    assert cached.misses == 1


def test_a_damaged_recording_names_its_line(tmp_path: Path) -> None:
    """And a missing one its path."""
    path = tmp_path / "calls.jsonl"
    path.write_text("{}\n")
    with pytest.raises(UsageError, match="damaged at line 1"):
        ReplayProvider(path)
    with pytest.raises(UsageError, match=r"gone\.jsonl"):
        ReplayProvider(tmp_path / "gone.jsonl")


async def test_a_wrapper_hides_nothing_of_the_inner_provider() -> None:
    """Its name, its default model, its prices; and it closes it."""
    closed = []

    class Closable(EchoProvider):
        async def aclose(self) -> None:
            closed.append(True)

    wrapper = ConcurrencyProvider(CachedProvider(Closable()), 1)
    assert (wrapper.name, wrapper.default_model) == ("echo", "echo")
    # But it may wait, as the inner one never does; and it prices as the inner one.
    assert info_of(wrapper) == replace(info_of(Closable()), inline=False, price=wrapper.price)
    await wrapper.aclose()
    assert closed == [True]


def test_prices_are_published_overridden_or_unknown() -> None:
    """Never guessed."""
    table = PriceTable({"mine": Price(1, 2), "gpt-4o": Price(0, 0)})
    assert table.cost_usd("mine", 1_000_000, 500_000) == 2
    assert table.cost_usd("gpt-4o", 1_000_000, 1_000_000) == 0
    assert PriceTable().cost_usd("gpt-4o", 1_000_000, 0) == pytest.approx(2.5)
    assert table.cost_usd("no-such-model", 1, 1) is None
    assert price_of(EchoProvider(), "gpt-4o", 1_000_000, 0) == 0
    assert price_of(ScriptedProvider(), "scripted", 1, 1) == 0
    assert price_of(ScriptedProvider(), "no-such-model", 1, 1) is None
    with pytest.raises(UsageError):
        Price(-1, 0)


async def test_unset_keeps_answers_to_calls_that_leave_the_temperature_to_the_model() -> None:
    """A call with a temperature of its own wants variety: each is sent."""
    cached = CachedProvider(ScriptedProvider(), unset=True)
    for request, hit in ((ask(), True), (ask(temperature=0), True), (ask(temperature=0.7), False)):
        await cached.complete(request)
        assert (await cached.complete(request)).cached is hit


async def test_providers_that_share_a_cache_do_not_share_their_answers() -> None:
    """What one said of a model's name is no other's answer."""
    store = MemoryCache()
    one = CachedProvider(ScriptedProvider(["one"]), store, unset=True, scope="one")
    other = CachedProvider(ScriptedProvider(["other"]), store, unset=True, scope="other")
    request = ask(model="m")
    assert (await one.complete(request)).text == "one"
    assert (await other.complete(request)).text == "other"
    assert (await one.complete(request)).cached


async def test_a_runtime_s_cache_is_asked_before_its_provider(tmp_path: Path) -> None:
    """Kept in a store, it outlives the process; what costs nothing is not kept."""
    url = f"sqlite:///{tmp_path / 'answers.db'}"
    program = '(syntax-e (llm-query #:instruction "hi"))'

    class Dear:
        asked = 0

        async def complete(self, request: CompletionRequest) -> Completion:
            self.asked += 1
            return Completion(text=f"answer {self.asked}")

    provider = Dear()
    for cached in (0, 1):
        async with Runtime(provider, cache=url, python="off") as runtime:
            result = await runtime.run(program)
        assert (result.value, provider.asked, result.execution.cached) == ("answer 1", 1, cached)
    assert result.execution.cost_usd == 0.0
    free = EchoProvider()
    async with Runtime(free, cache="memory", python="off") as runtime:
        assert runtime.grants.provider() is free


@pytest.mark.parametrize("cache", [3, object(), ["memory"]])
def test_a_cache_that_is_none_is_refused(cache: object) -> None:
    """Where it is given."""
    with pytest.raises(UsageError, match="cache takes a store's URL"):
        Runtime("echo", cache=cache)  # type: ignore[arg-type]


def test_the_tables_are_searched_once_for_a_model_that_nobody_sells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local model's name is asked for at every call, and is in none of a hundred vendors' tables."""
    snapshot = type(get_snapshot())
    search, searched = snapshot.find_provider_model, []

    def counted(self: object, model: str, *rest: object) -> object:
        searched.append(model)
        return search(self, model, *rest)

    monkeypatch.setattr(snapshot, "find_provider_model", counted)
    table = PriceTable()
    assert [table.cost_usd("a-model-of-this-house", n, n) for n in range(5)] == [None] * 5
    assert searched == ["a-model-of-this-house"] * 2  # OpenAI's table, then all


def test_newer_tables_are_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an embedder's update of the published prices brings is seen."""
    old = get_snapshot()
    assert PriceTable().cost_usd("gpt-4o-mini", 1_000_000, 0) is not None
    empty = type(old)(providers=[], from_auto_update=True)
    set_custom_snapshot(empty)
    try:
        assert PriceTable().cost_usd("gpt-4o-mini", 1_000_000, 0) is None
    finally:
        set_custom_snapshot(None)
    assert PriceTable().cost_usd("gpt-4o-mini", 1_000_000, 0) is not None


class Failing(MemoryCache):
    """A store that is full."""

    async def put(self, key: str, value: str) -> None:
        raise OSError("there is no room")


async def test_an_answer_that_cannot_be_kept_is_given(caplog: pytest.LogCaptureFixture) -> None:
    """It is paid, and counted. That it is not kept is told, once."""
    inner = ScriptedProvider(["one", "two"])
    async with Runtime(inner, cache=Failing(), python="off") as runtime, runtime.session() as session:
        for text in ("one", "two"):
            result = await session.execute(f'(finish (syntax-e (llm-query #:instruction "{text}?")))')
            assert result.value == text
            assert result.execution.tokens > 0
    told = [record.message for record in caplog.records if "cannot be kept" in record.message]
    assert told == ["answers cannot be kept at present, and are given all the same: there is no room"]


async def test_an_answer_does_not_wait_long_for_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given, and kept when the store answers; whoever closes the provider waits for that."""
    monkeypatch.setattr(cache, "PATIENCE_S", 0.0)
    opened = asyncio.Event()

    class Slow(MemoryCache):
        async def put(self, key: str, value: str) -> None:
            await opened.wait()
            await super().put(key, value)

    store = Slow()
    cached = CachedProvider(ScriptedProvider(["one"]), store, always=True)
    assert (await cached.complete(ask())).text == "one"
    assert len(store) == 0
    closing = asyncio.create_task(cached.aclose())
    opened.set()
    await closing
    assert len(store) == 1


async def test_an_answer_that_cannot_be_recorded_is_given(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is paid. That the recording lacks it is told."""
    recording = RecordingProvider(ScriptedProvider(["one"]), tmp_path / "gone" / "calls.jsonl")
    assert (await recording.complete(ask())).text == "one"
    assert "the recording lacks what was answered to 'Say it'" in caplog.text
