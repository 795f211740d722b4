"""The estimate of tokens: one number whoever asks, near the truth for what people send."""

from __future__ import annotations

import pytest

from rlm_wasm import CompletionRequest, Limits, Runtime
from rlm_wasm.extractive import ExtractiveProvider
from rlm_wasm.planning.estimate import DryRunProvider
from rlm_wasm.providers import BudgetProvider, EchoProvider, ScriptedProvider
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens, first_tokens

ACCENTS = "é" * 10_000


@pytest.mark.parametrize(
    ("text", "tokens"),
    [  # what the encoding o200k makes of them, by the tokenizer itself
        ("It was a bright cold day in April, and the clocks were striking thirteen.", 16),
        ("def double(numbers):\n    return [2 * number for number in numbers]\n", 15),
        ('{"id": 17, "name": "alpha", "score": 0.8444218515250481, "tags": ["x", "y"]}', 35),
        ("49,97,53,5,33,65,62,51\n38,61,45,74,27,64,17,36\n", 32),
        ("Il préférait les hivers à l'été, ça ne m'étonne guère.", 20),
        (ACCENTS, 10_000),
    ],
)
def test_the_estimate_is_near_the_truth(text: str, tokens: int) -> None:
    """Never below nine tenths, which a reservation must not be, and not half as much again."""
    assert 0.9 * tokens <= estimate_tokens(text) <= 1.6 * tokens


@pytest.mark.parametrize(
    "text", ["昨天晚上我们沿着河边散步了很久。", "😀🎉🚀🔥", "어제 저녁 우리는 강변을 오래", "कल शाम"]
)
def test_what_is_written_in_few_characters_takes_at_least_one_token_each(text: str) -> None:
    """Four characters a token is a rule for English alone."""
    assert estimate_tokens(text) >= len(text.replace(" ", ""))


@pytest.mark.parametrize("text", ["\ud800", "\0", " ", "\n", "a"])
def test_every_text_but_the_empty_one_is_a_token_at_least(text: str) -> None:
    """Lone surrogates included."""
    assert estimate_tokens(text) >= 1
    assert estimate_tokens("") == 0


@pytest.mark.parametrize("text", ["hello world, 1234", "é昨😀a" * 5, "", "x"])
def test_the_first_tokens_of_a_text_fit_and_one_character_more_does_not(text: str) -> None:
    """So that an answer is never longer than was asked for."""
    for tokens in range(12):
        head = first_tokens(text, tokens)
        assert text.startswith(head)
        assert estimate_tokens(head) <= tokens
        assert head == text or estimate_tokens(text[: len(head) + 1]) > tokens


async def test_one_text_has_one_number_of_tokens_whoever_asks() -> None:
    """The doubles, the extractive provider, the dry run, the budget and the limit."""
    request = CompletionRequest(id=1, instruction="Say it", data=ACCENTS, max_tokens=1)
    expected = estimate_prompt_tokens("Say it", ACCENTS)
    for provider in (EchoProvider(), ScriptedProvider(), ExtractiveProvider()):
        assert (await provider.complete(request)).prompt_tokens == expected
    dry = DryRunProvider(EchoProvider(), "plain")
    await dry.complete(request)
    assert dry.tally.prompt == expected
    await BudgetProvider(ScriptedProvider(), tokens=expected + 1).complete(request)
    program = f'(llm-query #:instruction "Say it" #:data (make-string {len(ACCENTS)} #\\é) #:max-tokens 1)'
    for tokens, status in ((expected, "limit"), (expected + 1, "ok")):
        async with Runtime(provider=ScriptedProvider(), limits=Limits(tokens=tokens)) as runtime:
            assert (await runtime.run(program)).status == status
