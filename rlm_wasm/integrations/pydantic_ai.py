"""pydantic-ai: a toolset for its agents, and a provider that calls its models.

    agent = Agent("openai:…", toolsets=[toolset(session)])
    runtime = Runtime(provider=PydanticAIProvider("anthropic:…"))

With the provider every vendor that pydantic-ai knows answers a program's calls.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import MissingKey, ProviderError, ProviderTimeout, RateLimited, UsageError
from rlm_wasm.integrations import missing_extra, tools
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.data_urls import parts_of
from rlm_wasm.providers.prices import PriceTable

try:
    from pydantic_ai import BinaryContent
    from pydantic_ai.direct import model_request
    from pydantic_ai.exceptions import AgentRunError, ModelHTTPError, UserError
    from pydantic_ai.messages import ModelRequest, SystemPromptPart, TextPart, UserPromptPart
    from pydantic_ai.models import Model, infer_model
    from pydantic_ai.toolsets import FunctionToolset
except ModuleNotFoundError as error:
    raise missing_extra("pydantic-ai", error) from None

if TYPE_CHECKING:
    from rlm_wasm.session import Session

__all__ = ["PydanticAIProvider", "toolset"]

DEFAULT_TIMEOUT_S = 120.0


def toolset(session: Session, *, id: str | None = None) -> FunctionToolset[Any]:  # noqa: A002 - its own word
    """Tools over one session: ``execute_scheme``, ``ask``, ``load_context``, ``list_contexts``."""
    of_session = tools.SessionTools(session)
    made: FunctionToolset[Any] = FunctionToolset(id=id)
    made.add_function(of_session.execute_scheme, description=tools.EXECUTE)
    made.add_function(of_session.ask, description=tools.ASK)
    made.add_function(of_session.load_context, description=tools.LOAD)
    made.add_function(of_session.list_contexts, description=tools.LIST)
    return made


class PydanticAIProvider:
    """Calls pydantic-ai's models: a name such as "anthropic:claude-…" or "google:gemini-…", or a Model.

    A program names a model as pydantic-ai does, or a role or alias; without a name ``model`` answers. The
    instruction is the system prompt, the data the user's message. Retries are the model's own.
    """

    name = "pydantic-ai"

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        settings: dict[str, Any] | None = None,
        prices: PriceTable | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Raises UsageError for a model that pydantic-ai does not know, MissingKey where it wants one."""
        self._models: dict[str, Model] = {}
        self.default_model: str | None = None
        if isinstance(model, str):
            self.default_model = model
            self._model(model)
        elif model is not None:
            self.default_model = model.model_name
            self._models[model.model_name] = model
        self._settings = dict(settings or {})
        self._prices = prices or PriceTable()
        self._timeout_s = timeout_s

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
        """As published, by the model's name without its vendor's."""
        return self._prices.cost_usd(model.rpartition(":")[2], prompt_tokens, completion_tokens)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask, and wait for the whole answer."""
        name = request.model or self.default_model
        if name is None:
            raise ProviderError("no model is named: PydanticAIProvider(model=…), or #:model in the program")
        model = self._model(name)
        settings: Any = {**self._settings}
        if request.temperature is not None:
            settings["temperature"] = request.temperature
        if request.max_tokens is not None:
            settings["max_tokens"] = request.max_tokens
        timeout_s = request.timeout_s or self._timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                response = await model_request(model, [_message(request)], model_settings=settings)
        except TimeoutError:
            raise ProviderTimeout(f"{name} gave no complete answer within {timeout_s:g} s") from None
        except ModelHTTPError as error:
            message = f"{name}: {error}"
            if error.status_code == 429:
                raise RateLimited(message) from error
            retryable = error.status_code >= 500
            raise ProviderError(message, status=error.status_code, retryable=retryable) from error
        except (AgentRunError, UserError) as error:
            raise ProviderError(f"{name}: {error}") from error
        text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
        usage = response.usage
        return Completion(
            text=text,
            model=name,
            prompt_tokens=usage.input_tokens or 0,
            completion_tokens=usage.output_tokens or 0,
            finish_reason=response.finish_reason or "stop",
        )

    def _model(self, name: str) -> Model:
        made = self._models.get(name)
        if made is None:
            try:
                made = self._models[name] = infer_model(name)
            except (UserError, ValueError, ImportError) as error:
                if isinstance(error, UserError) and "environment variable" in str(error):
                    raise MissingKey(f"{name}: {error}") from error
                raise UsageError(f"pydantic-ai does not know the model {name!r}: {error}") from error
        return made


def _message(request: CompletionRequest) -> ModelRequest:
    content: Any = request.data or request.instruction
    if request.images:
        pictures = [BinaryContent(data=data, media_type=kind) for kind, data in map(parts_of, request.images)]
        content = [content, *pictures]
    parts: list[Any] = [UserPromptPart(content)]
    if request.data:
        parts.insert(0, SystemPromptPart(request.instruction))
    return ModelRequest(parts=parts)
