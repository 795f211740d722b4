"""OpenAI, and any server that speaks its chat-completions protocol, by the ``openai`` package.

The SDK does the retries (429, 5xx and broken connections, honouring Retry-After) on its aiohttp
transport; this file shapes the request and maps what can go wrong to rlm_wasm.errors. Cancelling
``complete`` closes the connection, so the server sees that nobody waits any longer.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any, Final

from rlm_wasm.capabilities import images
from rlm_wasm.errors import MissingKey, ProviderError, ProviderTimeout, RateLimited, UsageError
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.prices import PriceTable
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens
from rlm_wasm.providers.vendor_rules import check_request, rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import AsyncOpenAI, OpenAIError

DEFAULT_MODEL: Final = "gpt-4o-mini"
DEFAULT_TIMEOUT_S: Final = 120.0
_KEY_VARIABLE: Final = "OPENAI_API_KEY"
_RATE_LIMIT_PREFIX: Final = "x-ratelimit-"


class OpenAIProvider:
    """Chat completions: the instruction is the system message, the data the user message.

    Without a key for OpenAI's own address, MissingKey is raised at once, not at the first call.
    Another ``base_url`` may need no key. ``max_retries`` is the SDK's.
    """

    name = "openai"

    def __init__(
        self,
        *,
        model: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        max_retries: int = 2,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        prices: PriceTable | None = None,
    ) -> None:
        self.price = (prices or PriceTable()).cost_usd
        self.default_model = model or DEFAULT_MODEL
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self._key = api_key or os.environ.get(_KEY_VARIABLE) or ""
        if not self._key and self.base_url is None:
            raise MissingKey(
                f"the openai provider needs a key: set {_KEY_VARIABLE}, or run without one by"
                ' --provider extractive (in Python: provider="extractive")'
            )
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise ProviderError(f"the base URL must begin with http:// or https://, got {self.base_url!r}")
        self._max_retries = max_retries
        self._timeout_s = timeout_s
        self._client: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Lock | None = None

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask, and wait for the whole answer. ``timeout_s`` covers all retries together."""
        model = request.model or self.default_model
        body = self._body(request, model)
        timeout_s = request.timeout_s or self._timeout_s
        client = await self._started()
        from openai import OpenAIError

        try:
            # The SDK's own timeout is by socket read: a server that drips bytes never reaches it.
            async with asyncio.timeout(timeout_s):
                raw = await client.chat.completions.with_raw_response.create(**body, timeout=timeout_s)
        except TimeoutError:
            raise ProviderTimeout(
                f"{model} at {self._where()} gave no complete answer within {timeout_s:g} s"
            ) from None
        except OpenAIError as error:
            raise self._mapped(error, model) from error
        except (OSError, ValueError) as error:
            # The transport lets what it doesn't know pass: a reset in the middle of a body, say.
            raise ProviderError(
                f"the connection to {self._where()} failed: {_first_line(error)}", retryable=True
            ) from error
        return self._completion(raw.text, raw.headers, request, model)

    async def aclose(self) -> None:
        """Close the connections. The provider may be used again afterwards."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()

    async def _started(self) -> AsyncOpenAI:
        """The client for this event loop; its import takes most of a second, so it comes late."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections belong to the loop that opened them.
            self._loop, self._client, self._starting = loop, None, asyncio.Lock()
        assert self._starting is not None
        async with self._starting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
        return self._client

    def _make_client(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAioHttpClient

        return AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.base_url,
            max_retries=self._max_retries,
            timeout=self._timeout_s,
            http_client=DefaultAioHttpClient(),
        )

    def _body(self, request: CompletionRequest, model: str) -> dict[str, Any]:
        """The request's parameters. What the API would refuse is refused here, for nothing."""
        check_request(
            model,
            temperature=request.temperature,
            json=request.json,
            instruction=request.instruction,
            images=len(request.images),
        )
        body: dict[str, Any] = {"model": model, "messages": _messages(request)}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_tokens is not None:
            if request.max_tokens < 1:
                raise UsageError(f"#:max-tokens must be at least 1, got {request.max_tokens}")
            longer = rules_of(model).max_completion_tokens
            body["max_completion_tokens" if longer else "max_tokens"] = request.max_tokens
        if request.json:
            body["response_format"] = {"type": "json_object"}
        return body

    def _completion(
        self, text: str, headers: Mapping[str, str], request: CompletionRequest, model: str
    ) -> Completion:
        """Read the answer. Compatible servers leave fields out, so nothing is taken for granted."""
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise ProviderError(
                f"{self._where()} answered with malformed JSON: {error}", retryable=True
            ) from None
        choice = _first_choice(answer)
        if choice is None:
            raise ProviderError(f"{self._where()} answered without a choice: {text[:200]!r}")
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        finish_reason = str(choice.get("finish_reason") or "stop")
        if not isinstance(content, str):
            if isinstance(refusal, str) and refusal:
                raise ProviderError(f"{model} refused: {refusal}")
            if finish_reason == "content_filter":
                raise ProviderError(f"{model}'s answer was withheld by the content filter")
            content = ""
        if not content and finish_reason == "length":
            raise ProviderError(
                f"{model} used all {request.max_tokens or 'its'} tokens before it began to answer:"
                " raise #:max-tokens"
            )
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        estimate = estimate_prompt_tokens(request.instruction, request.data, len(request.images))
        return Completion(
            text=content,
            model=str(answer.get("model") or model),
            prompt_tokens=_count(usage.get("prompt_tokens"), estimate),
            completion_tokens=_count(usage.get("completion_tokens"), estimate_tokens(content)),
            finish_reason=finish_reason,
            rate_limits=_rate_limits(headers),
        )

    def _where(self) -> str:
        return self.base_url or "api.openai.com"

    def _mapped(self, error: OpenAIError, model: str) -> ProviderError:
        """The SDK's error as one of ours, in words that say what to do."""
        import openai

        if isinstance(error, openai.RateLimitError):
            quota = error.code == "insufficient_quota"
            return RateLimited(
                f"{self._where()} refused for now (429): {_said(error)}",
                retryable=not quota,
                retry_after_s=_seconds(error.response.headers.get("retry-after")),
            )
        if isinstance(error, openai.AuthenticationError):
            key = f"the key in {_KEY_VARIABLE}" if self._key else f"no key ({_KEY_VARIABLE})"
            return ProviderError(f"{self._where()} refused {key} (401): {_said(error)}", status=401)
        if isinstance(error, openai.APIStatusError):
            return ProviderError(
                f"{model} at {self._where()} failed ({error.status_code}): {_said(error)}",
                status=error.status_code,
                retryable=error.status_code in (408, 409) or error.status_code >= 500,
            )
        if isinstance(error, openai.APIConnectionError):
            return self._unreachable(error)
        return ProviderError(f"{model} at {self._where()}: {_first_line(error)}")

    def _unreachable(self, error: BaseException) -> ProviderError:
        """No answer at all. The transport calls every broken connection a timeout: look below."""
        import aiohttp

        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, aiohttp.ServerTimeoutError | TimeoutError):
                return ProviderTimeout(f"{self._where()} did not answer in time")
            if isinstance(cause, aiohttp.ClientError):
                return ProviderError(
                    f"{self._where()} cannot be reached: {_first_line(cause)}", retryable=True
                )
            cause = cause.__cause__
        return ProviderError(f"{self._where()} cannot be reached: {error}", retryable=True)


def _messages(request: CompletionRequest) -> list[dict[str, Any]]:
    """Always both messages: many chat templates refuse a conversation without a user's turn."""
    user: str | list[dict[str, Any]] = request.data
    if request.images:
        user = [{"type": "text", "text": request.data}] if request.data else []
        user += [
            {"type": "image_url", "image_url": {"url": images.checked(image, None)}}
            for image in request.images
        ]
    return [
        {"role": "system", "content": request.instruction},
        {"role": "user", "content": user},
    ]


def _first_choice(answer: Any) -> dict[str, Any] | None:
    """The first choice, if the answer has one with a message."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
        return choice
    return None


def _count(value: Any, estimate: int) -> int:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else estimate


def _rate_limits(headers: Mapping[str, str]) -> dict[str, Any]:
    """``x-ratelimit-remaining-tokens: 12`` as ``{"remaining-tokens": 12}``, durations as text."""
    found: dict[str, Any] = {}
    for key, value in headers.items():
        name = key.lower()
        if name.startswith(_RATE_LIMIT_PREFIX):
            found[name[len(_RATE_LIMIT_PREFIX) :]] = int(value) if value.isdecimal() else value
    return found


def _seconds(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _said(error: Any) -> str:
    """What the server itself said, without the SDK's frame around it."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])[:500]
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]
