"""pydantic-ai: its agents use our tools, its models answer our programs. Skipped where it is not installed."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed: pip install 'rlm-wasm[pydantic-ai]'")

from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from rlm_wasm import CompletionRequest, Limits, ProviderError, Runtime, UsageError
from rlm_wasm.errors import MissingKey, ProviderTimeout, RateLimited
from rlm_wasm.integrations.pydantic_ai import PydanticAIProvider, toolset

pytestmark = pytest.mark.filterwarnings("ignore")

PNG = "data:image/png;base64,iVBORw0KGgo="


def said(text: str) -> ModelResponse:
    """What a model answers."""
    return ModelResponse(parts=[TextPart(text)])


async def test_an_agent_uses_the_tools() -> None:
    """It loads, executes and asks, in one session."""
    seen: list[Any] = []
    calls = [
        ToolCallPart("load_context", {"text": "The captain was Ada.", "name": "log"}),
        ToolCallPart("execute_scheme", {"code": '(context-length "log")'}),
        ToolCallPart("list_contexts", {}),
        ToolCallPart("ask", {"question": "Who was the captain?"}),
    ]

    def model(messages: list[Any], info: Any) -> ModelResponse:
        seen.append((messages[-1].parts[-1], [tool.name for tool in info.function_tools]))
        return ModelResponse(parts=[calls.pop(0)]) if calls else said("done")

    async with Runtime(provider="extractive") as runtime, runtime.session() as session:
        result = await Agent(FunctionModel(model), toolsets=[toolset(session)]).run("Go")
    assert result.output == "done"
    assert seen[0][1] == ["execute_scheme", "ask", "load_context", "list_contexts"]
    returned = [part.content for part, _ in seen[1:]]
    assert returned[1] == "20"
    assert returned[2] == {"log": 20}
    assert "Ada" in returned[3]


async def test_its_models_answer_programs() -> None:
    """Instruction, data, figures and settings cross."""
    asked: list[Any] = []

    def model(messages: list[Any], info: Any) -> ModelResponse:
        asked.append((messages[-1].parts, info.model_settings))
        return said("pong")

    async with Runtime(provider=PydanticAIProvider(FunctionModel(model))) as runtime:
        result = await runtime.run(
            '(syntax-e (llm-query #:instruction "ping" #:data "text" #:temperature 0.5 #:max-tokens 7))'
        )
        assert (await runtime.run('(syntax-e (llm-query #:instruction "alone"))')).value == "pong"
    assert result.value == "pong", result.error
    parts, settings = asked[0]
    assert [part.content for part in parts] == ["ping", "text"]
    assert (settings["temperature"], settings["max_tokens"]) == (0.5, 7)
    assert [part.content for part in asked[1][0]] == ["alone"]
    assert result.execution.tokens > 0


async def test_an_image_crosses_as_bytes() -> None:
    """With its type."""
    asked: list[Any] = []

    def model(messages: list[Any], info: Any) -> ModelResponse:
        asked.append(messages[-1].parts[-1].content)
        return said("seen")

    request = CompletionRequest(id=1, instruction="What is this?", images=(PNG,))
    assert (await PydanticAIProvider(FunctionModel(model)).complete(request)).text == "seen"
    assert asked[0][0] == "What is this?"
    assert asked[0][1].media_type == "image/png"


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (500, ProviderError), (404, ProviderError)])
async def test_what_a_vendor_refuses_is_a_provider_error(status: int, kind: type[Exception]) -> None:
    """With its status, and whether to try again."""

    def model(messages: list[Any], info: Any) -> ModelResponse:
        raise ModelHTTPError(status_code=status, model_name="m", body={"why": "because"})

    with pytest.raises(kind, match="because") as raised:
        await PydanticAIProvider(FunctionModel(model)).complete(CompletionRequest(id=1, instruction="q"))
    if status != 429:
        assert raised.value.retryable == (status >= 500)  # type: ignore[attr-defined]


async def test_a_model_that_is_too_slow_is_a_timeout() -> None:
    """By the call's own limit."""
    import asyncio

    async def model(messages: list[Any], info: Any) -> ModelResponse:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(ProviderTimeout, match=r"within 0\.05 s"):
        await PydanticAIProvider(FunctionModel(model)).complete(
            CompletionRequest(id=1, instruction="q", timeout_s=0.05)
        )


async def test_an_unknown_model_is_told() -> None:
    """At once where it is the provider's own, in the program where that names it."""
    with pytest.raises(UsageError, match="nosuch"):
        PydanticAIProvider("nosuch:model")
    with pytest.raises(ProviderError, match="no model is named"):
        await PydanticAIProvider().complete(CompletionRequest(id=1, instruction="q"))


def test_a_missing_key_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no unknown model: with the variable's name."""
    pytest.importorskip("openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        PydanticAIProvider("openai:gpt-4o-mini")


async def test_an_ask_runs_on_its_models() -> None:
    """Programs written by one."""

    def model(messages: list[Any], info: Any) -> ModelResponse:
        return said("```scheme\n(finish (string-length context))\n```")

    provider = PydanticAIProvider(FunctionModel(model))
    async with Runtime(provider=provider, limits=Limits(calls=5)) as runtime:
        assert (await runtime.ask("How long?", "abc")).value == "3"
