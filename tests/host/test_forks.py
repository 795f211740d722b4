"""Forks: each goes its own way from the same point, and all of them spend from one budget."""

from __future__ import annotations

import asyncio

import pytest

from rlm_wasm import Limits, Runtime, UsageError
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed


class Paid(InlineProvider):
    """A dollar for a million tokens."""

    free = False

    @staticmethod
    def price(_model: str, prompt: int, completion: int) -> float:
        """See ProviderInfo."""
        return (prompt + completion) / 1_000_000


ASK = '(define a (syntax-e (llm-query #:instruction "vote"))) (finish (string-append a "!"))'


async def test_forks_of_an_execution_each_ask_what_was_in_flight() -> None:
    """A call of its own for each, under a key of its own: votes are not one answer, counted twice."""
    gate = GatedProvider(lambda request: f"[{request.id}]")
    async with Runtime(gate) as runtime, runtime.session() as session:
        running = [asyncio.create_task(session.execute(ASK))]
        await gate.arrived(1)
        forks = await session.fork(3)
        assert [fork.suspended for fork in forks] == [True] * 3
        running += [asyncio.create_task(fork.resume()) for fork in forks]
        await gate.arrived(4)
        while gate.waiting:
            gate.release()
        values = {(await execution).value for execution in running}
        assert values == {"[1]!", "[2]!", "[3]!", "[4]!"}
        assert len({request.idempotency_key for request in gate.requests}) == 4
        assert session.calls_made == 4


@pytest.mark.parametrize("limits", [Limits(tokens=2_000), Limits(cost_usd=0.002)], ids=["tokens", "cost"])
async def test_forks_do_not_multiply_what_may_be_spent(limits: Limits) -> None:
    """Neither one after the other nor at once."""
    answers = Paid(bracketed)
    async with Runtime(answers, model="gpt-4o-mini", limits=limits) as runtime, runtime.session() as session:
        await session.execute('(define (ask) (syntax-e (llm-query #:instruction "q" #:max-tokens 100)))')
        program = "(let loop ([i 0]) (ask) (loop (+ i 1)))"
        assert (await session.execute(program)).status == "limit"
        alone = len(answers.requests)
        assert alone > 0
    answers.requests.clear()
    async with Runtime(answers, model="gpt-4o-mini", limits=limits) as runtime, runtime.session() as session:
        await session.execute('(define (ask) (syntax-e (llm-query #:instruction "q" #:max-tokens 100)))')
        forks = [session, *await session.fork(4)]
        results = await asyncio.gather(*(fork.execute(program) for fork in forks))
        assert {result.status for result in results} == {"limit"}
        assert len(answers.requests) <= alone


async def test_what_an_execution_used_is_its_own() -> None:
    """The session's figures are those of all forks together."""
    async with Runtime(InlineProvider()) as runtime, runtime.session() as session:
        await session.execute('(define (ask) (llm-query #:instruction "q"))')
        one, two = await session.fork(2)
        first, second = await asyncio.gather(one.execute("(ask) 1"), two.execute("(ask) (ask) 2"))
        assert (first.execution.calls, second.execution.calls) == (1, 2)
        assert {each.state()["used"]["calls"] for each in (session, one, two)} == {3}


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2"])
async def test_a_number_of_forks_that_is_none_is_refused(count: object) -> None:
    """Before anything is done."""
    async with Runtime("echo") as runtime, runtime.session() as session:
        with pytest.raises(UsageError, match="positive integer"):
            await session.fork(count)  # type: ignore[call-overload]
        assert runtime.sessions == [session]
