"""Tokens of prompts that the vendor had in its cache: counted wherever tokens are, and priced as such."""

from __future__ import annotations

from typing import Any

import pytest

from rlm_wasm import Runtime
from rlm_wasm.errors import UsageError
from rlm_wasm.providers import OpenAIProvider
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.prices import Price, PriceTable, price_of
from rlm_wasm.providers.wrappers.budget import BudgetProvider
from rlm_wasm.testing import Fault, InlineProvider, OpenAIServer

ANSWER = Completion(text="a", model="m", prompt_tokens=100, completion_tokens=10, cached_tokens=60)
CALL = '(llm-query #:instruction "q")'


class PaidProvider:
    """Answers with the figures above, for money."""

    name = "paid"
    default_model = "m"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Always the same."""
        del request
        return ANSWER

    def price(self, model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """A dollar for a million; cached ones cost a tenth of it."""
        del model
        return (prompt_tokens - 0.9 * cached_tokens + completion_tokens) / 1_000_000


async def test_they_are_counted_wherever_tokens_are() -> None:
    """In the program, by model, in the Result, in the state; of the session and of the execution."""
    async with Runtime(provider=PaidProvider()) as runtime, runtime.session() as session:
        await session.execute(CALL)
        result = await session.execute(
            f"{CALL} (list (hash-ref (tokens-used) 'cached_tokens) (hash-ref (tokens-used) 'prompt_tokens)"
            " (hash-ref (tokens-used) 'completion_tokens) (hash-ref (tokens-used) 'total_tokens)"
            ' (hash-ref (hash-ref (usage) "m") "cached_tokens"))'
        )
        assert result.data == [120, 200, 20, 220, 120]
        assert (result.execution.cached_tokens, result.execution.prompt_tokens) == (60, 100)
        assert session.state()["used"]["cached_tokens"] == 120
        restored = await runtime.restore(await session.snapshot())
        assert (await restored.execute("(hash-ref (tokens-used) 'cached_tokens)")).data == 120
        await restored.aclose()


async def test_an_answer_to_a_question_tells_of_them_too() -> None:
    """What its own calls, which write programs, took from the cache."""
    program = Completion(
        text="```scheme\n(finish 42)\n```",
        model="m",
        prompt_tokens=100,
        completion_tokens=10,
        cached_tokens=60,
    )
    async with Runtime(provider=InlineProvider(lambda request: program)) as runtime:
        answer = await runtime.ask("how many?", context="some data")
    assert answer.value == "42"
    assert answer.execution.cached_tokens == 60


async def test_they_are_priced_as_such() -> None:
    """By a provider's own price, where that knows of them."""
    async with Runtime(provider=PaidProvider()) as runtime:
        result = await runtime.run(CALL)
    assert result.execution.cost_usd == pytest.approx(56e-6)
    assert result.to_dict()["execution"]["cached_tokens"] == 60


async def test_those_of_recursive_calls_count_once() -> None:
    """The parent's figures have the child's."""
    program = Completion(
        text='```scheme\n(finish "x")\n```',
        model="m",
        prompt_tokens=50,
        cached_tokens=20,
        completion_tokens=1,
    )
    async with Runtime(provider=InlineProvider(lambda request: program)) as runtime:
        result = await runtime.run('(llm-query #:instruction "q" #:data "d" #:recursive #t)')
    assert (result.execution.cached_tokens, result.execution.prompt_tokens) == (20, 50)


async def test_what_our_own_cache_answers_used_none() -> None:
    """It cost nothing, and no vendor saw it."""
    cached = Completion(text="a", model="m", prompt_tokens=100, cached_tokens=60, cached=True)
    async with Runtime(provider=InlineProvider(lambda request: cached)) as runtime:
        result = await runtime.run(CALL)
    assert (result.execution.cached, result.execution.cached_tokens) == (1, 0)


USAGES: list[tuple[dict[str, Any], int]] = [
    ({"prompt_tokens_details": {"cached_tokens": 64}}, 64),
    ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64),
    ({"cache_read_input_tokens": 64}, 64),
    ({"prompt_tokens_details": {"cached_tokens": 900}}, 100),
    ({"prompt_tokens_details": {"cached_tokens": -5}}, 0),
    ({"prompt_tokens_details": {"cached_tokens": "many"}}, 0),
    ({"prompt_tokens_details": {"cached_tokens": None}}, 0),
    ({"prompt_tokens_details": None}, 0),
    ({"prompt_tokens_details": [1]}, 0),
    ({}, 0),
]


@pytest.mark.parametrize(("usage", "cached"), USAGES)
async def test_a_servers_answer_tells_of_them(usage: dict[str, Any], cached: int) -> None:
    """In each vendor's own words; odd figures never fail a call, and are no more than the prompt has."""
    choice = {"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    whole = {"prompt_tokens": 100, "completion_tokens": 5, **usage}
    async with OpenAIServer() as server:
        server.next(Fault.body({"choices": [choice], "usage": whole}))
        provider = OpenAIProvider(base_url=server.base_url, api_key="k", model="m", max_retries=0)
        completion = await provider.complete(CompletionRequest(id=1, instruction="q"))
        await provider.aclose()
    assert (completion.cached_tokens, completion.prompt_tokens) == (cached, 100)


def test_prices_of_cached_tokens_are_published_overridden_or_those_of_others() -> None:
    """Half of the price with gpt-4o, as OpenAI publishes it."""
    assert PriceTable().cost_usd("gpt-4o", 1_000_000, 0, 1_000_000) == pytest.approx(1.25)
    assert PriceTable().cost_usd("gpt-4o", 1_000_000, 0, 500_000) == pytest.approx(1.875)
    assert Price(2, 8).cost_usd(1_000_000, 0, 500_000) == 2
    assert Price(2, 8, 1).cost_usd(1_000_000, 1_000_000, 500_000) == 1 + 0.5 + 8
    assert PriceTable({"mine": Price(2, 8, 0)}).cost_usd("mine", 10, 0, 10) == 0
    with pytest.raises(UsageError):
        Price(1, 1, -1)


async def test_a_price_function_that_does_not_know_of_them_is_asked_as_before() -> None:
    """Three arguments; and a wrapper passes them on to one that does."""

    class Plain(PaidProvider):
        def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:  # type: ignore[override]
            del model
            return float(prompt_tokens + completion_tokens)

    assert price_of(Plain(), "m", 10, 1, 5) == 11
    wrapped = BudgetProvider(PaidProvider(), cost_usd=1.0)
    assert price_of(wrapped, "m", 100, 10, 60) == pytest.approx(56e-6)
    await wrapped.complete(CompletionRequest(id=1, instruction="q", max_tokens=10))
    assert wrapped.cost_used_usd == pytest.approx(56e-6)
