"""OpenAI, and any server that speaks its chat-completions protocol, by the ``openai`` package.

The SDK sends on its aiohttp transport; this file shapes the request and maps what can go wrong to
rlm_wasm.errors. Retries (429, 5xx and broken connections) are those of ``retries``, so that a 429 slows
all calls down; the SDK's own are off. Cancelling ``complete`` closes the connection, so the server sees
that nobody waits any longer.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from rlm_wasm.errors import MissingKey, ProviderError, ProviderTimeout, RateLimited, UsageError
from rlm_wasm.lazy import loaded_beside
from rlm_wasm.providers import data_urls, tries
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.chat_answers import completion_of, is_retryable, read_answer, retry_after_s, words
from rlm_wasm.providers.per_loop import PerLoop
from rlm_wasm.providers.prices import PriceTable
from rlm_wasm.providers.retries import DEFAULT_RETRIES, Retries
from rlm_wasm.providers.vendor_rules import check_request, rules_of
from rlm_wasm.redaction import Secrets, address_without_credentials, is_secret, without_credentials

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, OpenAIError

DEFAULT_MODEL: Final = "gpt-4o-mini"
ROLES: Final = {"cheap": "gpt-4.1-nano", "middle": "gpt-4o-mini", "good": "gpt-4o"}
"""OpenAI's own."""
DEFAULT_TIMEOUT_S: Final = 120.0
_KEY_VARIABLE: Final = "OPENAI_API_KEY"


class _Connections:
    """Those of one event loop, which opened them, and who makes them."""

    def __init__(self) -> None:
        self.client: AsyncOpenAI | None = None
        self.starting = asyncio.Lock()


class OpenAIProvider:
    """Chat completions: the instruction is the system message, the data the user message.

    Without a key for OpenAI's own address, MissingKey is raised at once, not at the first call.
    Another ``base_url`` may need no key. ``max_retries``: how often a call is sent again that failed in a
    way that may pass.
    """

    name = "openai"

    def __init__(
        self,
        *,
        model: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        max_retries: int = DEFAULT_RETRIES,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        prices: PriceTable | None = None,
    ) -> None:
        self.price = (prices or PriceTable()).cost_usd
        self.default_model = model or DEFAULT_MODEL
        self.base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or "").strip() or None
        # Another server with a model of its own has that one alone.
        self.roles: dict[str, str] = {} if self.base_url and model else dict(ROLES)
        self._key = _checked_key(api_key, "api_key") or _checked_key(
            os.environ.get(_KEY_VARIABLE), _KEY_VARIABLE
        )
        if not self._key and self.base_url is None:
            raise MissingKey(
                f"the openai provider needs a key: set {_KEY_VARIABLE}, or run without one by"
                ' --provider extractive (in Python: provider="extractive")'
            )
        self._address, self._query = _split(self.base_url)
        keys = [value for name, value in self._query.items() if is_secret(name)]
        self._secrets = Secrets(self._key, *keys)
        self._retries = Retries(max_retries)
        self._timeout_s = timeout_s
        self._connections = PerLoop(_Connections)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask, and wait for the whole answer. ``timeout_s`` covers all retries together."""
        model = request.model or self.default_model
        body, headers = self._body(request, model), _headers(request)
        timeout_s = request.timeout_s or self._timeout_s
        await self._started()  # before the clock runs: the first call imports the SDK

        async def once(left_s: float | None) -> tuple[Any, Mapping[str, str]]:
            return await self._ask(model, body, headers, left_s or timeout_s)

        try:
            # The SDK's own timeout is by socket read: a server that drips bytes never reaches it.
            async with asyncio.timeout(timeout_s):
                answer, answered_with = await self._retries.run(
                    once, timeout_s=timeout_s, where=self._where()
                )
        except TimeoutError:
            raise ProviderTimeout(
                f"{model} at {self._where()} gave no complete answer within {timeout_s:g} s"
            ) from None
        return completion_of(
            self._secrets.hidden_in_data(answer),
            self._secrets.hidden_in_data(dict(answered_with)),
            request,
            model=model,
        )

    async def _ask(
        self, model: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout_s: float
    ) -> tuple[Any, Mapping[str, str]]:
        """One try: the answer as data, and its headers. Raises ProviderError."""
        client = await self._started()
        from openai import OpenAIError

        try:
            raw = await client.post(
                "/chat/completions",
                cast_to=_response_class(),
                body=body,
                options={"timeout": timeout_s, "headers": headers},
            )
            # Failures with status 200, which the SDK takes for answers, are raised here.
            text = self._secrets.hidden_in(raw.text)
            return read_answer(text, raw.headers, model=model, where=self._where()), raw.headers
        except OpenAIError as error:
            failure: Exception = error
            told = self._mapped(error, model)
        except TimeoutError:
            raise  # of all tries together
        except (OSError, ValueError) as error:
            # The transport lets what it doesn't know pass: a reset in the middle of a body, say.
            failure = error
            told = ProviderError(
                f"the connection to {self._where()} failed: {self._first_line(error)}", retryable=True
            )
        # Outside of the handler, so that a cause that repeats the key is in no traceback.
        raise told from self._secrets.cause(failure)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The provider may be used again afterwards."""
        here = self._connections.here()
        client, here.client = here.client, None
        if client is not None:
            await client.close()

    async def _started(self) -> AsyncOpenAI:
        """The client for this event loop; its import takes most of a second, so it comes late."""
        here = self._connections.here()
        async with here.starting:
            if here.client is None:
                await loaded_beside("openai")
                here.client = await asyncio.to_thread(self._make_client)
        return here.client

    def _make_client(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAioHttpClient

        return AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._address,
            default_query=self._query,
            # A version in the address is Azure's way, and so is this name for the key.
            default_headers={"api-key": self._key} if self._key and "api-version" in self._query else None,
            max_retries=0,
            timeout=self._timeout_s,
            http_client=DefaultAioHttpClient(event_hooks={"request": [_asked], "response": [_answered]}),
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

    def _said(self, error: APIStatusError) -> str:
        """What the server itself said, without the SDK's frame around it, and without our key."""
        return self._told(words(self._secrets.hidden_in_data(error.body or error.response.text)))

    def _first_line(self, error: BaseException) -> str:
        return self._told((str(error).strip() or type(error).__name__).splitlines()[0][:2_000])[:500]

    def _told(self, text: str) -> str:
        """Nothing that opens anything reaches an error: proxies and debugging servers repeat requests."""
        return without_credentials(self._secrets.hidden_in(text))

    def _where(self) -> str:
        """The server, for errors."""
        return self._address or "api.openai.com"

    def _mapped(self, error: OpenAIError, model: str) -> ProviderError:
        """The SDK's error as one of ours, in words that say what to do."""
        import openai

        if isinstance(error, openai.RateLimitError):
            quota = error.code == "insufficient_quota"
            return RateLimited(
                f"{self._where()} refused for now (429): {self._said(error)}",
                retryable=not quota,
                retry_after_s=retry_after_s(error.response.headers),
            )
        if isinstance(error, openai.AuthenticationError):
            key = f"the key in {_KEY_VARIABLE}" if self._key else f"no key ({_KEY_VARIABLE})"
            return ProviderError(f"{self._where()} refused {key} (401): {self._said(error)}", status=401)
        if isinstance(error, openai.APIStatusError):
            return ProviderError(
                f"{model} at {self._where()} failed ({error.status_code}): {self._said(error)}",
                status=error.status_code,
                retryable=_may_pass(error),
                retry_after_s=retry_after_s(error.response.headers),
            )
        if isinstance(error, openai.APIConnectionError):
            return self._unreachable(error)
        return ProviderError(f"{model} at {self._where()}: {self._first_line(error)}")

    def _unreachable(self, error: BaseException) -> ProviderError:
        """No answer at all. The transport calls every broken connection a timeout: look below."""
        import aiohttp

        cause: BaseException | None = error
        innermost = error
        while cause is not None:
            innermost = cause
            if isinstance(cause, aiohttp.ServerTimeoutError | TimeoutError):
                return ProviderTimeout(f"{self._where()} did not answer in time")
            if isinstance(cause, aiohttp.ClientError):
                return ProviderError(
                    f"{self._where()} cannot be reached: {self._first_line(cause)}", retryable=True
                )
            cause = cause.__cause__
        return ProviderError(
            f"{self._where()} cannot be reached: {self._first_line(innermost)}", retryable=True
        )


@functools.cache
def _response_class() -> type[Any]:
    """What the SDK gives for an answer as it came: httpx2's Response, httpx's in its older releases.

    A request that asks for one (the SDK's own way to addresses that it does not know) is sent as it stands.
    Through ``chat.completions.create`` a third of a call's time went into the walk through its body, in which
    nothing has to be changed.
    """
    from openai import DefaultAioHttpClient

    transport = next(base for base in DefaultAioHttpClient.__mro__ if base.__name__ == "AsyncClient")
    response: type[Any] = importlib.import_module(transport.__module__.partition(".")[0]).Response
    return response


async def _asked(_request: Any) -> None:
    tries.begins()


async def _answered(response: Any) -> None:
    tries.answered(response.status_code)


def _split(base_url: str | None) -> tuple[str | None, dict[str, str]]:
    """The address without its query, and the query, which goes with every request."""
    if base_url is None:
        return None, {}
    if not base_url.startswith(("http://", "https://")):
        address = address_without_credentials(base_url)
        raise ProviderError(f"the base URL must begin with http:// or https://, got {address!r}")
    try:
        parts = urlsplit(base_url)
    except ValueError as error:
        address = address_without_credentials(base_url)
        raise ProviderError(
            f"the base URL {address!r} is malformed: {without_credentials(str(error))}"
        ) from None
    if "@" in parts.netloc:
        raise ProviderError(f"the base URL holds a user name or password: give the key by {_KEY_VARIABLE}")
    return urlunsplit(parts._replace(query="", fragment="")), dict(parse_qsl(parts.query))


def _checked_key(key: str | None, name: str) -> str:
    """The key without the blanks around it. What no header can hold is named, the key is not shown."""
    key = (key or "").strip()
    for place, char in enumerate(key, 1):
        if not "!" <= char <= "~":
            blank = {"\n": "a line break", "\r": "a line break", " ": "a blank"}
            what = blank.get(char, f"the character {char!r}")
            raise ProviderError(
                f"the key in {name} is malformed: {what} stands at place {place} of {len(key)}; copy it anew"
            )
    return key


def _headers(request: CompletionRequest) -> dict[str, str]:
    """What goes beside the body: the key by which a server knows a call that is sent again."""
    headers = _trace_headers()
    key = request.idempotency_key
    if key is None:
        return headers
    if not (key and key.isascii() and key.isprintable()):
        raise UsageError(f"idempotency_key must be printable ASCII, got {key[:100]!r}")
    return {**headers, "Idempotency-Key": key}


def _trace_headers() -> dict[str, str]:
    """The trace that the call belongs to (W3C's traceparent), where the application traces."""
    headers: dict[str, str] = {}
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry.propagate import inject

        inject(headers)
    return headers


def _messages(request: CompletionRequest) -> list[dict[str, Any]]:
    """Always both messages: many chat templates refuse a conversation without a user's turn."""
    user: str | list[dict[str, Any]] = request.data
    if request.images:
        user = [{"type": "text", "text": request.data}] if request.data else []
        user += [
            {"type": "image_url", "image_url": {"url": data_urls.checked(image)}} for image in request.images
        ]
    return [
        {"role": "system", "content": request.instruction},
        {"role": "user", "content": user},
    ]


def _may_pass(error: APIStatusError) -> bool:
    """By what the server itself says of it, else by the status."""
    said = error.response.headers.get("x-should-retry")
    return said == "true" if said in ("true", "false") else is_retryable(error.status_code)
