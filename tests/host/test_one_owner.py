"""Rules that more than one part of the project asks about have one answer, whoever asks."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime
from rlm_wasm.asking.answer_type import AnswerType
from rlm_wasm.errors import UnfitValue
from rlm_wasm.planning.estimate import estimate
from rlm_wasm.providers.prices import Price, PriceTable
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens
from rlm_wasm.testing import GatedProvider, InlineProvider, ScriptedProvider

ACCENTS = "é" * 10_000


async def test_a_text_has_as_many_tokens_for_the_guest_as_for_the_host() -> None:
    """A token budget of just what the host's estimate says is enough, and one token less is not."""
    needed = estimate_prompt_tokens("q", ACCENTS) + 100
    program = (
        '(parameterize ([token-budget {}]) (syntax-e (llm-query #:instruction "q" #:max-tokens 100'
        " #:data (make-string 10000 #\\é))))"
    )
    async with Runtime(provider=InlineProvider()) as runtime:
        assert (await runtime.run(program.format(needed))).status == "ok"
        result = await runtime.run(program.format(needed - 1))
    assert result.error is not None
    assert result.error.type == "exn:fail:budget"
    assert f"a call of about {needed} tokens" in result.error.message


async def test_what_is_estimated_is_what_a_limit_then_sets_aside() -> None:
    """The call that an estimate foresees fits a limit of just that many tokens."""
    program = f'(llm-query #:instruction "q" #:max-tokens 100 #:data "{ACCENTS}" #:model "m")'
    provider = ScriptedProvider(["a"], prices=PriceTable({"m": Price(1, 2)}))
    async with Runtime(provider=provider) as runtime:
        foreseen = (await estimate(runtime, program)).prompt_tokens
    assert foreseen == estimate_prompt_tokens("q", ACCENTS)
    assert estimate_tokens(ACCENTS) == foreseen - estimate_prompt_tokens("q", "x") + estimate_tokens("x")
    for tokens, status in ((foreseen + 100, "ok"), (foreseen + 99, "limit")):
        async with Runtime(provider=InlineProvider(), limits=Limits(tokens=tokens)) as runtime:
            assert (await runtime.run(program)).status == status


@pytest.mark.parametrize("model", ["gpt-5", "gpt-5-mini", "o3", "ft:o4-mini:org::id", "openai/o1"])
async def test_a_temperature_that_a_model_does_not_take_is_refused_before_it_is_sent(model: str) -> None:
    """Whatever the provider is: a program that runs with one runs with the others."""
    provider = InlineProvider()
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(f'(llm-query #:instruction "q" #:model "{model}" #:temperature 0.5)')
    assert result.status == "error"
    assert result.error is not None
    assert result.error.type == "exn:fail:contract"
    assert "does not take #:temperature" in result.error.message
    assert provider.requests == []
    assert result.execution.calls == 0


@pytest.mark.parametrize(("instruction", "data", "sent"), [("q", "json", 0), ("Answer in JSON", "d", 1)])
async def test_json_has_to_be_named_in_the_instruction(instruction: str, data: str, sent: int) -> None:
    """For every provider: the word in the data alone is not enough."""
    provider = InlineProvider(lambda _request: "{}")
    async with Runtime(provider=provider) as runtime:
        await runtime.run(f'(llm-query #:instruction "{instruction}" #:data "{data}" #:json #t)')
    assert len(provider.requests) == sent


@pytest.mark.parametrize(
    "answer",
    [
        '{"a": 1}',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```\nThat is all.',
        '~~~~ json\n{"a": 1}\n~~~~',
        '```json\n{"a": 1}',
        '```json {"a": 1}```',
    ],
)
async def test_json_in_a_fence_is_the_same_json_in_a_call_and_in_an_answer(answer: str) -> None:
    """However a model sets it."""
    async with Runtime(provider=InlineProvider(lambda _request: answer)) as runtime:
        result = await runtime.run('(syntax-e (llm-query #:instruction "JSON" #:json #t))')
    assert result.value == '{"a": 1}'
    assert AnswerType.of({"type": "object"}).fitted(answer, answer) == ({"a": 1}, {"a": 1})


@pytest.mark.parametrize("answer", ["NaN", "```json\nInfinity\n```", "```json\n```", "```", "[" * 100_000])
async def test_what_is_no_json_is_none_in_a_call_and_in_an_answer(answer: str) -> None:
    """Python's own reader takes some of it."""
    async with Runtime(provider=InlineProvider(lambda _request: answer)) as runtime:
        result = await runtime.run('(syntax-e (llm-query #:instruction "JSON" #:json #t))')
    assert result.error is not None
    assert "no valid JSON" in result.error.message
    with pytest.raises(UnfitValue):
        AnswerType.of({"type": ["object", "array", "number"]}).fitted(answer, answer)


def test_what_a_runtime_is_given_reaches_those_that_run_its_sessions(tmp_path: Path) -> None:
    """All but what is a process's own; an argument that stands only here would be lost without a word."""
    runtime = Runtime(provider="echo", store=f"sqlite:///{tmp_path / 'store.db'}", durable=True)
    arguments = inspect.signature(Runtime).parameters.keys()
    assert arguments - runtime._options().keys() == {"engine", "executor", "idle_bytes", "idle_s"}
    assert runtime._options().keys() <= arguments


async def test_a_call_that_is_cancelled_by_its_number_is_told_by_that_number() -> None:
    """Requests of other kinds come before it, which people never see: they count none of its numbers."""
    gate = GatedProvider()
    program = (
        '(define t (now-or-later)) (try (syntax-e (llm-query #:instruction "q")) on-error (lambda (m) m))'
    )
    functions = {"now-or-later": lambda: 1}
    async with Runtime(provider=gate, host_functions=functions) as runtime, runtime.session() as session:
        task = asyncio.create_task(session.execute(program))
        await gate.arrived(1)
        [running] = session.state()["calls_in_flight"]
        assert running["call_id"] == 1
        assert not session.cancel_call(2)
        assert session.cancel_call(1)
        result = await task
    assert result.value == "llm-query: call 1 was cancelled"


async def test_a_cancelled_call_is_no_denied_capability() -> None:
    """It is a call that failed, like another."""
    gate = GatedProvider()
    async with Runtime(provider=gate) as runtime, runtime.session() as session:
        task = asyncio.create_task(session.execute('(llm-query #:instruction "q")'))
        await gate.arrived(1)
        session.cancel_call(1)
        result = await task
    assert result.error is not None
    assert result.error.type == "exn:fail:llm"


async def test_half_a_character_in_an_answer_is_replaced_at_the_door() -> None:
    """It has no form in Scheme."""

    def answer(_request: CompletionRequest) -> Completion:
        return Completion(text="a\ud800b", model="m")

    async with Runtime(provider=InlineProvider(answer)) as runtime:
        result = await runtime.run('(syntax-e (llm-query #:instruction "q"))')
    assert result.value == "a\ufffdb"
