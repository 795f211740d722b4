"""LiteLLM: a provider that calls any vendor that LiteLLM knows.

runtime = Runtime(provider=LiteLLMProvider("anthropic/claude-…"))
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rlm_wasm.integrations import missing_extra

# LiteLLM fetches a table of prices when it is imported, unless it is told to take its own.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

try:
    import litellm
except ModuleNotFoundError as error:
    raise missing_extra("litellm", error) from None

from rlm_wasm.errors import ProviderError, ProviderTimeout, RateLimited
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.chat_answers import completion_of, retry_after_s
from rlm_wasm.redaction import Secrets, is_secret, without_credentials

__all__ = ["LiteLLMProvider"]

DEFAULT_TIMEOUT_S = 120.0


class LiteLLMProvider:
    """Calls ``litellm.acompletion``. A program names a model as LiteLLM does, or a role or alias.

    The instruction is the system message, the data the user's. ``options`` are LiteLLM's own, for every call:
    ``api_key``, ``api_base``, ``num_retries`` (2 where it is left out).
    """

    name = "litellm"

    def __init__(
        self, model: str | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S, **options: Any
    ) -> None:
        litellm.suppress_debug_info = True  # it prints advice on standard output, where answers are
        self.default_model = model
        self._timeout_s = timeout_s
        self._options = {"num_retries": 2, **options}
        self._secrets = Secrets(*(str(value) for name, value in options.items() if is_secret(name) and value))

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
        """By LiteLLM's table; None where it has no price."""
        try:
            prompt, completion = litellm.cost_per_token(
                model=model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
            )
        except Exception:  # it raises what it likes for a model that it does not know
            return None
        return float(prompt + completion)

    def _words(self, model: str, error: Exception) -> str:
        text = f"{model}: {str(error) or type(error).__name__}"
        return without_credentials(self._secrets.hidden_in(text))[:2_000]

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask, and wait for the whole answer."""
        model = request.model or self.default_model
        if model is None:
            raise ProviderError("no model is named: LiteLLMProvider(model), or #:model in the program")
        timeout_s = request.timeout_s or self._timeout_s
        body: dict[str, Any] = {"model": model, "messages": _messages(request), **self._options}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_tokens is not None:
            body["max_tokens"] = request.max_tokens
        if request.json:
            body["response_format"] = {"type": "json_object"}
        try:
            async with asyncio.timeout(timeout_s):
                response = await litellm.acompletion(**body, timeout=timeout_s)
        except (TimeoutError, litellm.Timeout):
            raise ProviderTimeout(f"{model} gave no complete answer within {timeout_s:g} s") from None
        except litellm.RateLimitError as error:
            failure: Exception = error
            told: ProviderError = RateLimited(self._words(model, error), retry_after_s=_retry_after_s(error))
        except Exception as error:  # its exceptions are its vendors', and share no root of their own
            failure = error
            status = getattr(error, "status_code", None)
            status = status if isinstance(status, int) else None
            retryable = status is None or status >= 500
            told = ProviderError(self._words(model, error), status=status, retryable=retryable)
        else:
            return _completion(response, request, model)
        # Outside of the handlers, so that a cause that repeats the key is in no traceback.
        raise told from self._secrets.cause(failure)


def _messages(request: CompletionRequest) -> list[dict[str, Any]]:
    if not request.data and not request.images:
        return [{"role": "user", "content": request.instruction}]
    content: Any = request.data
    if request.images:
        content = [{"type": "text", "text": request.data or request.instruction}]
        content += [{"type": "image_url", "image_url": {"url": url}} for url in request.images]
    return [{"role": "system", "content": request.instruction}, {"role": "user", "content": content}]


def _completion(response: Any, request: CompletionRequest, model: str) -> Completion:
    """By the rules that every chat answer meets; the model keeps LiteLLM's name, which has the prices."""
    answer = response.model_dump() if hasattr(response, "model_dump") else {}
    choices = answer.get("choices")
    if not choices or not isinstance(choices[0].get("message"), dict):
        raise ProviderError(f"{model} gave an answer without a choice")
    return replace(completion_of(answer, {}, request, model=model), model=model)


def _retry_after_s(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return retry_after_s(headers) if isinstance(headers, Mapping) else None
