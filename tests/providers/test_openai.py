"""The openai provider against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest

from rlm_wasm.errors import MissingKey, ProviderError, ProviderTimeout, RateLimited, UsageError
from rlm_wasm.providers import Completion, CompletionRequest, OpenAIProvider
from rlm_wasm.testing import Fault, OpenAIServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 32).decode()


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    """A fresh server for each test."""
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def provider(server: OpenAIServer) -> AsyncIterator[OpenAIProvider]:
    """A provider that talks to it."""
    made = OpenAIProvider(base_url=server.base_url, api_key="test", model="gpt-4o-mini")
    yield made
    await made.aclose()


def ask(instruction: str = "Say it", data: str = "hello", **options: object) -> CompletionRequest:
    """A request with defaults."""
    return CompletionRequest(id=1, instruction=instruction, data=data, **options)  # type: ignore[arg-type]


async def test_instruction_is_the_system_message_and_data_the_user_message(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    """The two parts never mix: data cannot pose as an instruction."""
    completion = await provider.complete(ask())
    assert completion.text == "hello"
    assert server.requests[0].body["messages"] == [
        {"role": "system", "content": "Say it"},
        {"role": "user", "content": "hello"},
    ]
    assert server.requests[0].headers["Authorization"] == "Bearer test"


async def test_only_what_was_asked_for_is_sent(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """No temperature, token limit or format unless the program gave one."""
    await provider.complete(ask())
    assert set(server.requests[0].body) == {"model", "messages"}
    assert server.requests[0].model == "gpt-4o-mini"


async def test_options_are_sent_by_the_api_s_names(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """Temperature, the token limit and JSON mode."""
    await provider.complete(ask("As json", model="gpt-4o", temperature=0.5, max_tokens=7, json=True))
    body = server.requests[0].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4o", 0.5, 7)
    assert body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("model", ["o3-mini", "o4-mini", "o1", "gpt-5", "gpt-5.2-mini"])
async def test_newer_models_get_max_completion_tokens(
    server: OpenAIServer, provider: OpenAIProvider, model: str
) -> None:
    """They refuse the older name."""
    await provider.complete(ask(model=model, max_tokens=7))
    assert server.requests[0].body["max_completion_tokens"] == 7
    assert "max_tokens" not in server.requests[0].body


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini-2025-04-16", "ft:o4-mini:org", "gpt-5"])
async def test_temperature_is_refused_for_reasoning_models_before_anything_is_sent(
    server: OpenAIServer, provider: OpenAIProvider, model: str
) -> None:
    """The error names the model and the option."""
    with pytest.raises(UsageError, match=f"{model} does not take #:temperature"):
        await provider.complete(ask(model=model, temperature=0.0))
    assert server.requests == []


async def test_json_without_the_word_json_is_refused_before_anything_is_sent(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    """The API would refuse it; the data doesn't count, as for every provider."""
    with pytest.raises(UsageError, match="OpenAI API requirement"):
        await provider.complete(ask("An object", "as json", json=True))
    assert server.requests == []


async def test_images_are_parts_of_the_user_message(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """Base64 becomes a data URL of the type that its bytes say; a data URL stays."""
    await provider.complete(ask(data="What is it?", images=(PNG, f"data:image/png;base64,{PNG}")))
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    content = server.requests[0].body["messages"][1]["content"]
    assert content == [{"type": "text", "text": "What is it?"}, url, url]


async def test_the_idempotency_key_goes_with_every_attempt(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    """So that a server which knows it bills a call once, however often it was sent; none without one."""
    server.next(Fault.rate_limit())
    await provider.complete(ask(idempotency_key="call-7"))
    await provider.complete(ask())
    assert [r.headers.get("Idempotency-Key") for r in server.requests] == ["call-7", "call-7", None]


@pytest.mark.parametrize("key", ["", "a\nX-Other: 1", "clé"])
async def test_an_idempotency_key_that_no_header_can_hold_is_refused(
    server: OpenAIServer, provider: OpenAIProvider, key: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError, match="idempotency_key"):
        await provider.complete(ask(idempotency_key=key))
    assert server.requests == []


async def test_an_image_that_is_none_is_refused(provider: OpenAIProvider) -> None:
    """Before it is sent."""
    with pytest.raises(UsageError, match="PNG"):
        await provider.complete(ask(images=(base64.b64encode(b"nonsense" * 8).decode(),)))


async def test_token_counts_and_rate_limits_are_the_server_s() -> None:
    """Headers keep their names without the prefix; numbers are numbers."""
    headers = {"x-ratelimit-remaining-tokens": "1999", "x-ratelimit-reset-tokens": "6ms"}
    async with OpenAIServer(rate_limit_headers=headers) as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="k")
        completion = await provider.complete(ask())
        await provider.aclose()
    assert completion.rate_limits == {"remaining-tokens": 1999, "reset-tokens": "6ms"}
    assert completion.prompt_tokens == 4
    assert completion.completion_tokens == 2
    assert completion.model == "gpt-4o-mini"


async def test_a_429_is_tried_again_after_retry_after(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """By the SDK: the program never sees it."""
    server.next(Fault.rate_limit(retry_after_s=0.01))
    assert (await provider.complete(ask())).text == "hello"
    assert len(server.requests) == 2


async def test_a_500_is_tried_again(server: OpenAIServer) -> None:
    """Up to max_retries; then it is an error with the server's own words."""
    provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=0)
    server.next(Fault.error(503, "overloaded"))
    with pytest.raises(ProviderError, match=r"503.*overloaded") as caught:
        await provider.complete(ask())
    assert caught.value.status == 503
    assert caught.value.retryable
    await provider.aclose()


async def test_a_429_that_stays_is_rate_limited(server: OpenAIServer) -> None:
    """With the server's Retry-After, for a caller that wants to wait."""
    provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=0)
    server.next(Fault.rate_limit(retry_after_s=7))
    with pytest.raises(RateLimited) as caught:
        await provider.complete(ask())
    assert caught.value.retry_after_s == 7
    await provider.aclose()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.malformed_json(), "malformed JSON"),
        (Fault.malformed_json("<html>gateway</html>"), "malformed JSON"),
        (Fault.body([]), "without a choice"),
        (Fault.body({"choices": []}), "without a choice"),
        (Fault.body({"choices": [None]}), "without a choice"),
        (
            Fault.body({"choices": [{"message": {"content": None, "refusal": "No."}}]}),
            "refused: No",
        ),
        (Fault.error(400, "bad model"), "400.*bad model"),
        (Fault.error(401, "wrong key"), "refused the key in OPENAI_API_KEY"),
        (Fault.error(404, "no such model"), "404.*no such model"),
        (Fault.cut_body(), "failed|cannot be reached"),
        (Fault.drop(), "cannot be reached"),
    ],
)
async def test_what_goes_wrong_is_a_provider_error_in_clear_words(
    server: OpenAIServer, fault: Fault, words: str
) -> None:
    """Whatever the server does, nothing but ProviderError comes out."""
    provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=0)
    server.next(fault)
    with pytest.raises(ProviderError, match=words) as caught:
        await provider.complete(ask())
    assert not isinstance(caught.value, ProviderTimeout)
    await provider.aclose()


async def test_a_missing_usage_is_estimated(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """Compatible servers leave it out; budgets need a figure."""
    server.next(Fault.body({"choices": [{"message": {"content": "four"}}]}))
    completion = await provider.complete(ask())
    assert completion.completion_tokens == 1
    assert completion.prompt_tokens > 0


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.slow_body(0.05)])
async def test_the_timeout_covers_hangs_and_bodies_that_drip(
    server: OpenAIServer, provider: OpenAIProvider, fault: Fault
) -> None:
    """The server sees that nobody waits any longer."""
    server.next(fault)
    with pytest.raises(ProviderTimeout, match=r"0\.2 s"):
        await provider.complete(ask(timeout_s=0.2))
    await asyncio.wait_for(server.wait_for_disconnects(), 5)


async def test_a_slow_body_in_time_is_an_answer(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """Slow is not wrong."""
    server.next(Fault.slow_body(0.001))
    assert (await provider.complete(ask())).text == "hello"


async def test_cancelling_aborts_the_request(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """The connection is closed, and the provider still works."""
    server.next(Fault.hang())
    task = asyncio.create_task(provider.complete(ask()))
    await server.wait_for_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.wait_for_disconnects(), 5)
    assert (await provider.complete(ask())).text == "hello"


async def test_calls_overlap(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """Thirty calls are all open at once when all of them must be there before any is answered."""
    together = asyncio.Barrier(30)

    async def answer(_request: object) -> str:
        await together.wait()
        return "together"

    server._answer = answer
    calls = (provider.complete(ask(data=str(i))) for i in range(30))
    texts = [completion.text for completion in await asyncio.gather(*calls)]
    assert texts == ["together"] * 30
    assert server.peak == 30


async def test_a_server_that_is_down_is_named() -> None:
    """The address, and no traceback of three libraries."""
    provider = OpenAIProvider(base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0)
    with pytest.raises(ProviderError, match=r"http://127.0.0.1:9/v1 cannot be reached") as caught:
        await provider.complete(ask())
    assert not isinstance(caught.value, ProviderTimeout)
    await provider.aclose()


def test_a_missing_key_names_the_variable_and_the_way_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once, not at the first call."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingKey, match=r"OPENAI_API_KEY.*--provider extractive"):
        OpenAIProvider()


async def test_another_server_needs_no_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local servers have none."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    provider = OpenAIProvider(base_url=server.base_url)
    assert (await provider.complete(ask())).text == "hello"
    await provider.aclose()


def test_a_base_url_without_a_scheme_is_refused() -> None:
    """With what was given."""
    with pytest.raises(ProviderError, match="localhost:1"):
        OpenAIProvider(base_url="localhost:1", api_key="k")


def test_one_provider_serves_several_event_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections belong to a loop; a provider does not."""
    with OpenAIServer() as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="k")

        async def answer() -> Completion:
            try:
                return await provider.complete(ask())
            finally:
                await provider.aclose()

        for _ in range(2):
            assert asyncio.run(answer()).text == "hello"
