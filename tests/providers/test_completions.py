"""What any provider's completion has to be: odd ones are failed calls, or made right, whoever wrote the provider."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, Runtime
from rlm_wasm.errors import ProviderError
from rlm_wasm.providers import OpenAIProvider
from rlm_wasm.providers.completions import checked, end_of
from rlm_wasm.providers.wrappers.cache import CachedProvider
from rlm_wasm.providers.wrappers.retry import RetryProvider
from rlm_wasm.results import Result
from rlm_wasm.testing import OpenAIServer
from rlm_wasm.testing.server import Fault

REQUEST = CompletionRequest(id=1, instruction="Say it", data="hello")


class Answers:
    """Gives what it was told to, as an application's own provider would."""

    name = "own"

    def __init__(self, *answers: Any, inline: bool = False) -> None:
        self.answers = list(answers)
        self.inline = inline
        self.asked = 0

    async def complete(self, request: CompletionRequest) -> Any:
        """The next one; the last again and again."""
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def answer(**fields: Any) -> Completion:
    """One that is right but for these fields."""
    return Completion(**{"text": "hi", "model": "m", "prompt_tokens": 2, "completion_tokens": 1, **fields})


async def ran(completion: Any, program: str, *, inline: bool) -> Result:
    """The Result of a program whose calls are answered so."""
    async with Runtime(provider=Answers(completion, inline=inline)) as runtime:
        return await runtime.run(program)


NONE = [
    (answer(text=None), "has NoneType in place of its text"),
    (answer(text=b"bytes"), "has bytes in place of its text"),
    (answer(text=["part"]), "has list in place of its text"),
    ("text", "returned str, not a Completion"),
    (None, "returned NoneType, not a Completion"),
    (answer(finish_reason="content_filter"), "withheld by the content filter"),
    (answer(finish_reason="SAFETY"), "withheld by the content filter (finish_reason: SAFETY)"),
    (answer(finish_reason="error"), "broke off with an error after hi"),
    (answer(finish_reason="insufficient_system_resource"), "broke off with an error after hi"),
    (answer(text="", finish_reason="tool_calls"), "called a tool in place of an answer"),
    (answer(text="", finish_reason="length"), "before it began to answer: raise #:max-tokens"),
]


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(("completion", "words"), NONE)
async def test_what_is_no_answer_is_a_failed_call_of_any_provider(
    completion: Any, words: str, inline: bool
) -> None:
    """It says what came, a handler can have it, and its tokens are counted as of a call that was sent."""
    result = await ran(completion, '(llm-query #:instruction "q")', inline=inline)
    assert result.error is not None
    assert result.error.type == "exn:fail:llm"
    assert words in result.error.message
    caught = await ran(
        completion, '(try (llm-query #:instruction "q") on-error (lambda (m) "caught"))', inline=inline
    )
    assert caught.value == "caught"
    assert caught.execution.calls == 1


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    "reason", ["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"]
)
async def test_a_cut_text_is_truncated_by_whatever_word(reason: str, inline: bool) -> None:
    """Vendors have several; with #:json it is an error."""
    cut = answer(text='{"a": 1}', finish_reason=reason)
    result = await ran(cut, '(truncated? (llm-query #:instruction "q"))', inline=inline)
    assert result.data is True
    result = await ran(cut, '(llm-query #:instruction "json" #:json #t)', inline=inline)
    assert result.error is not None
    assert "cut off" in result.error.message


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_tokens": None},
        {"prompt_tokens": -1},
        {"prompt_tokens": math.nan},
        {"prompt_tokens": math.inf},
        {"prompt_tokens": 10**400},
        {"prompt_tokens": "12"},
        {"completion_tokens": True},
        {"completion_tokens": None},
        {"cached_tokens": -1},
        {"cached_tokens": 99},
        {"rate_limits": None},
        {"rate_limits": {"a": math.nan, 5: object(), "b": 10**5000}},
        {"model": None},
        {"model": 5},
        {"model": "two\nlines"},
        {"finish_reason": None},
        {"finish_reason": ["length"]},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_odd_figures_fail_no_call(fields: dict[str, Any], inline: bool) -> None:
    """They are estimated, or told as texts."""
    program = (
        '(define text (syntax-e (llm-query #:instruction "q")))'
        "(list text (hash-ref (tokens-used) 'total_tokens) (hash? (rate-limits)))"
    )
    result = await ran(answer(**fields), program, inline=inline)
    assert result.ok, result.error
    text, tokens, limits = result.data
    assert (text, limits) == ("hi", True)
    assert 0 < tokens < 20


def test_an_answer_that_is_right_is_the_same_object() -> None:
    """The way of nearly all of them."""
    right = answer()
    assert checked(right, REQUEST) is right


@pytest.mark.parametrize("reason", ["stop", "end_turn", "eos", "STOP", "", None, 5, "something new"])
def test_an_unknown_end_is_no_reason_to_doubt_a_text(reason: Any) -> None:
    """Vendors invent words."""
    assert end_of(reason) == "stop"
    assert checked(answer(finish_reason=reason), REQUEST).text == "hi"


async def test_what_is_no_answer_is_not_kept() -> None:
    """A filter may let the same question pass tomorrow."""
    own = Answers(answer(finish_reason="content_filter"), answer(text="at last"))
    cached = CachedProvider(own, always=True)
    with pytest.raises(ProviderError):
        await cached.complete(REQUEST)
    assert [(await cached.complete(REQUEST)).text for _ in range(2)] == ["at last", "at last"]
    assert own.asked == 2


async def test_what_is_no_answer_and_was_billed_is_not_asked_for_again() -> None:
    """As with the provider that speaks to a server."""
    own = Answers(answer(finish_reason="error"), answer())
    with pytest.raises(ProviderError, match="broke off"):
        await RetryProvider(own, retries=2).complete(REQUEST)
    assert own.asked == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"content": {"type": "text", "text": "one part"}}, "one part"),
        ({"content": [{"type": "text", "text": {"value": "deep"}}]}, "deep"),
    ],
)
async def test_a_part_alone_is_a_text(body: dict[str, Any], text: str) -> None:
    """And so is one that holds its text one level down."""
    assert await served(Fault.body({"choices": [{"message": body}]})) == text


async def served(fault: Fault) -> str:
    """What the provider that speaks to a server makes of it."""
    async with OpenAIServer() as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="k", model="m", max_retries=0)
        server.next(fault)
        try:
            return (await provider.complete(REQUEST)).text
        finally:
            await provider.aclose()


async def test_a_byte_order_mark_and_odd_usage_fail_no_call() -> None:
    """A figure that is none costs no answer that was paid for."""
    message = '{"choices": [{"message": {"content": "four"}}], "usage": {"prompt_tokens": NaN}}'
    assert await served(Fault.malformed_json(message)) == "four"
    assert await served(Fault.malformed_json("\ufeff" + message.replace("NaN", "3"))) == "four"


async def test_a_text_before_a_tools_call_is_no_answer() -> None:
    """The model waits for what the tool says."""
    call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    choice = {"message": {"content": "I look it up.", "tool_calls": [call]}, "finish_reason": "tool_calls"}
    with pytest.raises(ProviderError, match="called a tool in place of an answer"):
        await served(Fault.body({"choices": [choice]}))
