"""Ceilings on tokens and money hold exactly, because a call's worst case is set aside before it is sent."""

from __future__ import annotations

import asyncio

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, ProviderError, Runtime
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

WORST = 16 + 1000
"""What a call of one letter may take at most, at #:max-tokens 1000 (a letter is less than a token)."""

START = '(define hs (map (lambda (i) (llm-query-async #:instruction "q" #:max-tokens 1000)) (range {})))'
"""Calls that the next execution finds in flight."""


async def turns(count: int) -> None:
    """So many turns of the event loop for everybody else."""
    for _ in range(count):
        await asyncio.sleep(0)


FAN_OUT = '(map-async (lambda (i) (llm-query-async #:instruction "q" #:max-tokens 1000)) (range {}) #:max-concurrent 100)'


class Priced(GatedProvider):
    """A dollar for a million tokens of either kind, and no more than it was allowed."""

    free = False

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return (prompt_tokens + completion_tokens) / 1_000_000


@pytest.mark.parametrize("fit", [1, 2, 3, 7])
async def test_under_fan_out_as_many_calls_are_sent_as_fit_for_sure(fit: int) -> None:
    """The next one waits until one of them is settled, and goes out on what that did not take."""
    gate = GatedProvider(bracketed)
    limits = Limits(tokens=fit * WORST)
    async with Runtime(provider=gate, limits=limits) as runtime, runtime.session() as session:
        assert (await session.execute(START.format(fit))).ok
        await gate.arrived(fit)
        task = asyncio.create_task(session.execute('(llm-query #:instruction "q" #:max-tokens 1000)'))
        await turns(20)
        assert len(gate.requests) == fit
        assert session.state()["calls_queued"] == 1
        gate.release_many(fit)
        used = fit * 15
        if used + WORST > limits.tokens:
            result = await task
            assert result.status == "limit"
            assert result.error is not None
            assert (result.error.kind, result.error.limit) == ("tokens", fit * WORST)
        else:
            await gate.arrived(1)
            gate.release_many(1)
            assert (await task).ok
    assert len(gate.requests) <= fit + 1


async def test_a_call_that_could_never_fit_is_refused_with_what_is_used_reserved_and_asked() -> None:
    """Also while others are in flight: nothing is waited for in vain."""
    gate = GatedProvider(bracketed)
    limits = Limits(tokens=2 * WORST)
    async with Runtime(provider=gate, limits=limits) as runtime, runtime.session() as session:
        assert (await session.execute(START.format(1))).ok
        await gate.arrived(1)
        result = await session.execute('(llm-query #:instruction "q" #:max-tokens 3000)')
    assert result.status == "limit"
    assert result.error is not None
    assert "used 0, reserved by calls in flight 1,005, asked for 3,005, limit 2,032" in result.error.message
    assert len(gate.requests) == 1


async def test_many_small_calls_under_a_small_ceiling_run_one_after_the_other() -> None:
    """Forty calls whose worst cases together are twice the ceiling, and whose true costs are next to nothing."""
    async with Runtime(provider=InlineProvider(), limits=Limits(tokens=20 * WORST)) as runtime:
        assert (await runtime.run(FAN_OUT.format(40))).ok
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate, limits=Limits(tokens=20 * WORST)) as runtime:
        task = asyncio.create_task(runtime.run(FAN_OUT.format(40)))
        for _ in range(40):
            await gate.arrived(1)
            gate.release_many(1)
        assert (await task).ok


async def test_what_a_call_did_not_take_is_given_back(gate: GatedProvider) -> None:
    """Fifteen tokens a call, one after the other: far more of them fit than at once."""
    async with Runtime(provider=InlineProvider(), limits=Limits(tokens=2 * WORST)) as runtime:
        program = '(for/sum ([i (in-range {})]) (llm-query #:instruction "q" #:max-tokens 1000) 1)'
        assert (await runtime.run(program.format(60))).value == "60"
        assert (await runtime.run(program.format(200))).status == "limit"


async def test_a_ceiling_on_money_holds_under_fan_out() -> None:
    """In dollars, by the provider's own prices."""
    provider = Priced()
    limits = Limits(cost_usd=3.5 * WORST / 1_000_000)
    async with Runtime(provider=provider, limits=limits) as runtime, runtime.session() as session:
        assert (await session.execute(START.format(3))).ok
        await provider.arrived(3)
        task = asyncio.create_task(session.execute('(llm-query #:instruction "q" #:max-tokens 1000)'))
        await turns(20)
        assert len(provider.requests) == 3
        session.cancel()
        assert (await task).status == "cancelled"


async def test_a_failed_call_gives_back_what_was_set_aside(gate: GatedProvider) -> None:
    """Nothing of it stays reserved."""
    async with Runtime(provider=gate, limits=Limits(tokens=WORST)) as runtime, runtime.session() as session:
        for _ in range(3):
            task = asyncio.create_task(session.execute('(llm-query #:instruction "q" #:max-tokens 1000)'))
            await gate.arrived(1)
            gate.fail(ProviderError("no"))
            assert (await task).status == "error"
        left = await session.execute("(hash-ref (budget-remaining) 'tokens)")
        assert left.value == str(WORST)


async def test_a_call_that_was_cancelled_after_it_was_sent_may_have_cost_all_of_it() -> None:
    """So a loop of calls that are given up at once ends at the ceiling, not never."""
    gate = GatedProvider(bracketed)
    program = (
        "(let loop ([n 0]) (with-timeout 0.001"
        ' (lambda () (llm-query #:instruction "q" #:max-tokens 1000)) (lambda () "late")) (loop (+ n 1)))'
    )
    async with Runtime(provider=gate, limits=Limits(tokens=5 * WORST)) as runtime:
        result = await runtime.run(program)
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "tokens"
    assert len(gate.requests) == 5
    assert result.execution.prompt_tokens == 5 * 5  # what was sent is in the ledger


async def test_the_calls_of_a_recursive_call_are_reserved_too() -> None:
    """The language reference in its prompt counts: what cannot fit for sure is not sent."""
    provider = InlineProvider()
    async with Runtime(provider=provider, limits=Limits(tokens=WORST + 50)) as runtime:
        result = await runtime.run('(llm-query #:instruction "q" #:max-tokens 1000 #:recursive #t)')
    assert result.status == "limit"
    assert provider.requests == []


async def test_an_unknown_price_says_so() -> None:
    """Tokens are counted, the cost is unknown; with a ceiling on cost the call is refused."""

    class Unknown(InlineProvider):
        free = False

    async with Runtime(provider=Unknown()) as runtime:
        result = await runtime.run('(llm-query #:instruction "q" #:model "nobody-knows-1")')
        assert result.execution.tokens == 15
        assert result.execution.cost_usd is None
    async with Runtime(provider=Unknown(), limits=Limits(cost_usd=1)) as runtime:
        result = await runtime.run('(llm-query #:instruction "q" #:model "nobody-knows-1")')
        assert "the price of model 'nobody-knows-1' is unknown" in str(result.error)


async def test_usage_is_shown_to_the_program() -> None:
    """tokens-used, cost-used, budget-remaining, rate-limits."""

    def answer(request: CompletionRequest) -> Completion:
        return Completion(
            text="a",
            model="m",
            prompt_tokens=10,
            completion_tokens=5,
            rate_limits={"remaining-requests": "9"},
        )

    async with Runtime(provider=InlineProvider(answer), limits=Limits(tokens=10_000, calls=7)) as runtime:
        result = await runtime.run(
            '(llm-query #:instruction "q" #:model "m") (define (of table key) (hash-ref table key))'
            "(list (of (tokens-used) 'prompt) (of (tokens-used) 'completion) (of (tokens-used) 'total)"
            " (of (cost-used) 'calls) (of (budget-remaining) 'calls) (of (budget-remaining) 'tokens)"
            ' (of (of (rate-limits) "m") "remaining-requests"))'
        )
    assert result.data == [10, 5, 15, 1, 6, 9985, "9"], result.error


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("(parameterize ([token-budget 1000]) (ask) (token-budget))", "985"),
        ("(parameterize ([token-budget 1000]) (ask) (parameterize ([token-budget 500]) (ask) (token-budget)))", "485"),
        ("(parameterize ([token-budget 1000]) (parameterize ([token-budget 500]) (ask)) (ask) (token-budget))", "970"),
        ("(parameterize ([token-budget 1000]) (map-async (lambda (i) (ask)) (range 4)) (token-budget))", "940"),
        ("(parameterize ([token-budget 1000]) (await (spawn ask)) (token-budget))", "985"),
        ("(parameterize ([token-budget 10]) (try (ask) on-error (lambda (m) (substring m 0 21))))", "token budget exceeded"),
        ("(begin (parameterize ([token-budget 1000]) (ask)) (token-budget))", "+inf.0"),
    ],
)  # fmt: skip
async def test_token_budgets_nest(runtime: Runtime, program: str, expected: str) -> None:
    """A call is charged to every budget around it, in whatever fiber it is made."""
    result = await runtime.run('(define (ask) (syntax-e (llm-query #:instruction "q")))' + program)
    assert result.value == expected, result.error


@pytest.mark.parametrize(
    "call",
    [
        '(cancel (llm-query-async #:instruction "q" #:max-tokens 1000))',
        '(with-timeout 0 (lambda () (llm-query #:instruction "q" #:max-tokens 1000)) void)',
        '(try (llm-query-async #:instruction "q" #:max-tokens 1000 #:images (list car)) on-error void)',
    ],
)
async def test_a_call_without_an_answer_gives_its_token_budget_back(call: str, gate: GatedProvider) -> None:
    """A cancelled one, one that came too late, and one that could not be sent."""
    async with Runtime(provider=gate) as runtime:
        fits = '(llm-query-async #:instruction "q" #:max-tokens 1000)'
        program = f"(parameterize ([token-budget 1500]) (for ([i 5]) {call}) {fits} (token-budget))"
        result = await runtime.run(program)
    assert result.value == "1500", result.error


@pytest.mark.parametrize("fit", [1, 2, 5])
async def test_a_token_budget_holds_exactly_under_fan_out(fit: int) -> None:
    """As many calls are sent as fit for sure."""
    gate = GatedProvider(bracketed)
    fan_out = FAN_OUT.format(fit + 3)[:-1] + " #:on-error (lambda (message) (substring message 0 21)))"
    async with Runtime(provider=gate) as runtime:
        task = asyncio.create_task(runtime.run(f"(parameterize ([token-budget {fit * 1005}]) {fan_out})"))
        await gate.arrived(fit)
        gate.release_many(fit)
        assert (await task).data == ["[q]"] * fit + ["token budget exceeded"] * 3
    assert len(gate.requests) == fit


async def test_a_refusal_names_what_calls_in_flight_have_reserved() -> None:
    """Else a budget that is hardly used would seem to be refused without a reason."""
    gate = GatedProvider(bracketed)
    program = (
        "(parameterize ([token-budget 1500])"
        ' (define h (llm-query-async #:instruction "q" #:max-tokens 1000))'
        ' (try (llm-query #:instruction "q" #:max-tokens 1000) on-error identity))'
    )
    async with Runtime(provider=gate) as runtime:
        result = await runtime.run(program)
    assert "used 0 of 1500 tokens, 1005 more are reserved by calls in flight" in result.value, result.error
