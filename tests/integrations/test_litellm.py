"""LiteLLM answers programs. Skipped where it is not installed; nothing here needs a network."""

from __future__ import annotations

import pytest

pytest.importorskip("litellm", reason="litellm is not installed: pip install 'rlm-wasm[litellm]'")

from rlm_wasm import CompletionRequest, ProviderError, Runtime
from rlm_wasm.errors import RateLimited
from rlm_wasm.integrations.litellm import LiteLLMProvider
from rlm_wasm.testing import Fault, OpenAIServer

pytestmark = pytest.mark.filterwarnings("ignore")

REQUEST = CompletionRequest(id=1, instruction="ping", data="text")


async def test_a_program_is_answered_and_its_figures_are_counted() -> None:
    """By LiteLLM's own stand-in for a vendor."""
    async with Runtime(provider=LiteLLMProvider("gpt-4o-mini", mock_response="pong")) as runtime:
        result = await runtime.run('(syntax-e (llm-query #:instruction "ping" #:data "text"))')
    assert result.value == "pong", result.error
    assert result.execution.tokens > 0
    assert result.execution.cost_usd is not None


async def test_it_speaks_to_a_server() -> None:
    """Messages as they were meant, over HTTP."""
    async with OpenAIServer() as server:
        provider = LiteLLMProvider("openai/some-model", api_base=server.base_url, api_key="k", num_retries=0)
        answer = await provider.complete(REQUEST)
    assert answer.text == "text"
    assert answer.model == "openai/some-model"
    (request,) = server.requests
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("mock", "kind"),
    [("litellm.RateLimitError", RateLimited), ("litellm.InternalServerError", ProviderError)],
)
async def test_what_a_vendor_refuses_is_a_provider_error(mock: str, kind: type[Exception]) -> None:
    """That can be tried again."""
    with pytest.raises(kind, match="gpt-4o-mini"):
        await LiteLLMProvider("gpt-4o-mini", mock_response=mock, num_retries=0).complete(REQUEST)


async def test_an_unknown_model_is_told_and_has_no_price(capsys: pytest.CaptureFixture[str]) -> None:
    """In LiteLLM's words; it prints no advice where answers are."""
    provider = LiteLLMProvider("nosuch-model-of-nobody", num_retries=0)
    assert provider.price("nosuch-model-of-nobody", 1, 1) is None
    with pytest.raises(ProviderError, match="nosuch-model-of-nobody"):
        await provider.complete(REQUEST)
    with pytest.raises(ProviderError, match="no model is named"):
        await LiteLLMProvider().complete(REQUEST)
    assert capsys.readouterr().out == ""


def answering(content: object, reason: str, **message: object) -> Fault:
    """An answer with this message."""
    return Fault.body(
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, **message},
                    "finish_reason": reason,
                }
            ]
        }
    )


CALL = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (answering("half of", "content_filter"), "withheld by the content filter"),
        (answering(None, "tool_calls", tool_calls=[CALL]), "called a tool.*look_up"),
        (answering(None, "stop"), "gave no content"),
        (answering("", "length"), "raise #:max-tokens"),
        (answering(None, "stop", reasoning_content="First I"), "reasoned and gave no answer: First I"),
    ],
)
async def test_what_is_no_answer_is_a_failed_call(fault: Fault, words: str) -> None:
    """As it is with the provider that speaks to a server itself."""
    async with OpenAIServer() as server:
        server.next(fault)
        provider = LiteLLMProvider("openai/m", api_base=server.base_url, api_key="k", num_retries=0)
        with pytest.raises(ProviderError, match=words):
            await provider.complete(REQUEST)


async def test_half_a_text_is_marked_as_cut() -> None:
    """By its finish reason."""
    async with OpenAIServer() as server:
        server.next(answering("half of", "length"))
        provider = LiteLLMProvider("openai/m", api_base=server.base_url, api_key="k", num_retries=0)
        completion = await provider.complete(REQUEST)
    assert (completion.text, completion.finish_reason) == ("half of", "length")
