"""What compatible servers answer: text in parts, failures with status 200, odd figures, their own words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rlm_wasm import Runtime
from rlm_wasm.errors import ProviderError, RateLimited
from rlm_wasm.providers import CompletionRequest, OpenAIProvider, ScriptedProvider, strict_json
from rlm_wasm.testing import Fault, OpenAIServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REQUEST = CompletionRequest(id=1, instruction="Say it", data="hello")


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    """A fresh server for each test."""
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def provider(server: OpenAIServer) -> AsyncIterator[OpenAIProvider]:
    """A provider that talks to it, and tries once."""
    made = OpenAIProvider(base_url=server.base_url, api_key="k", model="m", max_retries=0)
    yield made
    await made.aclose()


def answering(content: Any, reason: str | None = "stop", **message: Any) -> Fault:
    """An answer with this message."""
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": reason}
    return Fault.body({"choices": [choice]})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}], "one two"),
        ([{"text": "no type"}], "no type"),
        ([{"type": "output_text", "text": "newer"}], "newer"),
        (["plain ", {"type": "text", "text": "mixed"}], "plain mixed"),
        ([{"type": "thinking", "thinking": "hm", "text": "hm"}, {"type": "text", "text": "42"}], "42"),
        ([{"type": "text", "text": 5}, None, 7, {"type": "text", "text": "rest"}], "rest"),
        ("", ""),
    ],
)
async def test_text_in_parts_is_joined(
    server: OpenAIServer, provider: OpenAIProvider, content: Any, text: str
) -> None:
    """What is no text is no part of the answer; an empty text is one."""
    server.next(answering(content))
    assert (await provider.complete(REQUEST)).text == text


CALL = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("fault", "words", "retryable"),
    [
        (answering(None), "gave no content", True),
        (Fault.body({"choices": [{"message": {}}]}), "gave no content", True),
        (answering([]), "gave no content", True),
        (answering(None, reasoning_content="First I"), "reasoned and gave no answer: First I", True),
        (answering("", reasoning="Let me"), "reasoned and gave no answer: Let me", True),
        (
            answering(None, "tool_calls", tool_calls=[CALL]),
            "called a tool in place of an answer.*look_up",
            False,
        ),
        (answering("", function_call={"name": "f"}), "called a tool", False),
        (answering(None, refusal="I can't."), "refused: I can't", False),
        (answering([{"type": "refusal", "refusal": "No."}]), "refused: No", False),
        (answering("half of", "content_filter"), "withheld by the content filter", False),
        (answering(None, "content_filter"), "withheld by the content filter", False),
        (answering("half of", "error"), "broke off with an error after half of", True),
        (answering(None, "length"), "raise #:max-tokens", False),
    ],
)
async def test_what_is_no_answer_is_a_failed_call_that_says_what_came(
    server: OpenAIServer, provider: OpenAIProvider, fault: Fault, words: str, retryable: bool
) -> None:
    """Never an empty text that counts as success."""
    server.next(fault)
    with pytest.raises(ProviderError, match=f"^m.*{words}") as caught:
        await provider.complete(REQUEST)
    assert caught.value.retryable == retryable
    assert len(str(caught.value)) < 500


async def test_half_a_text_is_marked_as_cut(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """By its finish reason; the program decides."""
    server.next(answering("half of it", "length"))
    completion = await provider.complete(REQUEST)
    assert (completion.text, completion.finish_reason) == ("half of it", "length")


@pytest.mark.parametrize(
    ("body", "status", "retryable", "words"),
    [
        ({"error": {"message": "Provider returned error", "code": 502}}, 502, True, "Provider returned"),
        ({"error": {"message": "no credits", "code": 402}}, 402, False, "no credits"),
        ({"error": {"message": "bad", "code": "400"}}, 400, False, "bad"),
        ({"error": "model not found"}, None, True, "model not found"),
        ({"error": {"code": "overloaded"}}, None, True, "overloaded"),
        (
            {"choices": [{"message": {"content": ""}, "error": {"code": 500, "message": "x1"}}]},
            500,
            True,
            "x1",
        ),
    ],
)
async def test_an_error_inside_a_200_is_a_failed_call(
    server: OpenAIServer, provider: OpenAIProvider, body: Any, status: int, retryable: bool, words: str
) -> None:
    """With the status that its code names."""
    server.next(Fault.body(body))
    with pytest.raises(ProviderError, match=words) as caught:
        await provider.complete(REQUEST)
    assert (caught.value.status, caught.value.retryable) == (status, retryable)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.malformed_json(),
        Fault.body({"error": {"code": 503, "message": "busy"}}),
        Fault.body({"choices": [{"message": {"content": None}, "error": {"code": 429}}]}),
    ],
)
async def test_a_passing_failure_with_status_200_is_tried_again(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """As one with its own status is, and as often; with the same idempotency key."""
    monkeypatch.setattr("rlm_wasm.providers.retries.FIRST_PAUSE_S", 0.0)
    provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=2)
    server.next(fault, fault)
    assert (await provider.complete(replace(REQUEST, idempotency_key="7"))).text == "hello"
    assert [request.headers["Idempotency-Key"] for request in server.requests] == ["7"] * 3
    server.next(fault, fault, fault)
    with pytest.raises(ProviderError):
        await provider.complete(REQUEST)
    assert len(server.requests) == 6
    await provider.aclose()


@pytest.mark.parametrize(
    "fault", [answering(None, reasoning="Hm"), answering("", "error"), Fault.body({"error": {"code": 400}})]
)
async def test_what_was_paid_for_and_what_stays_wrong_is_not_tried_again(
    server: OpenAIServer, fault: Fault
) -> None:
    """A second answer would be billed too, beyond what was set aside for the call."""
    provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=2)
    server.next(fault)
    with pytest.raises(ProviderError):
        await provider.complete(REQUEST)
    assert len(server.requests) == 1
    await provider.aclose()


async def test_a_rate_limit_inside_a_200_is_one(server: OpenAIServer, provider: OpenAIProvider) -> None:
    """As with status 429."""
    server.next(Fault.body({"error": {"message": "slow down", "code": 429}}))
    with pytest.raises(RateLimited, match="slow down"):
        await provider.complete(REQUEST)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault.page('{"error": "model not found"}', status=404, media_type="application/json"),
            "model not found",
        ),
        (Fault.page('{"detail": "Not Found"}', status=404, media_type="application/json"), "Not Found"),
        (
            Fault.page(
                json.dumps({"detail": [{"loc": ["body", "model"], "msg": "field required"}]}),
                status=422,
                media_type="application/json",
            ),
            "body.model: field required",
        ),
        (
            Fault.page('{"error": null, "message": "quota"}', status=403, media_type="application/json"),
            "quota",
        ),
        (
            Fault.page('{"errors": ["first", "second"]}', status=400, media_type="application/json"),
            "first; second",
        ),
        (Fault.page("upstream connect error", status=503, media_type="text/plain"), "upstream connect error"),
        (Fault.page(), "<h1>Bad Gateway</h1>"),
        (Fault.page(" \n", status=500, media_type="text/plain"), "no reason given"),
        (Fault.page("x" * 100_000, status=500), "x{300}…"),
    ],
)
async def test_the_server_s_own_words_reach_the_error(
    server: OpenAIServer, provider: OpenAIProvider, fault: Fault, words: str
) -> None:
    """Whatever form they come in; of long ones the beginning."""
    server.next(fault)
    with pytest.raises(ProviderError, match=words) as caught:
        await provider.complete(REQUEST)
    assert caught.value.status == fault.status
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "count", ["NaN1", -1, 1.5e300, True, None, "12", [], 10**400, 2**60], ids=lambda c: str(c)[:8]
)
async def test_odd_counts_of_tokens_are_estimated(
    server: OpenAIServer, provider: OpenAIProvider, count: Any
) -> None:
    """They fail no call, and no sum that they would go into."""
    body = {
        "choices": [{"message": {"content": "four"}}],
        "usage": {"prompt_tokens": count, "completion_tokens": 9.0},
    }
    server.next(Fault.body(body))
    completion = await provider.complete(REQUEST)
    assert 0 < completion.prompt_tokens < 100
    assert completion.completion_tokens == 9


async def test_a_count_of_thousands_of_digits_fails_no_call(
    server: OpenAIServer, provider: OpenAIProvider
) -> None:
    """Python refuses to read such an integer."""
    body = '{"choices": [{"message": {"content": "four"}}], "usage": {"prompt_tokens": %s}}' % ("9" * 10_000)
    server.next(Fault.malformed_json(body))
    assert (await provider.complete(REQUEST)).prompt_tokens < 100


async def test_odd_numbers_in_headers_stay_text() -> None:
    """Only plain numbers become numbers."""
    odd = {"a": "9" * 5000, "b": "-1", "c": "1.5", "d": "", "e": "7"}
    async with OpenAIServer(rate_limit_headers={f"x-ratelimit-{k}": v for k, v in odd.items()}) as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="k")
        completion = await provider.complete(REQUEST)
        await provider.aclose()
    assert completion.rate_limits == {**odd, "e": 7}


@pytest.mark.parametrize("text", ['{"a": NaN}', "Infinity", "[-Infinity]", "[" * 100_000, ""])
async def test_nan_and_what_nobody_can_read_is_no_json(
    server: OpenAIServer, provider: OpenAIProvider, text: str
) -> None:
    """In an answer as in the text that a model wrote."""
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(text)
    server.next(Fault.malformed_json(text))
    with pytest.raises(ProviderError, match="malformed JSON"):
        await provider.complete(REQUEST)
    assert strict_json.loads('{"a": [1, -2.5, null]}') == {"a": [1, -2.5, None]}


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:00:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30", "Date": DATE}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_read_in_both_forms(
    server: OpenAIServer, provider: OpenAIProvider, headers: dict[str, str], seconds: float | None
) -> None:
    """As seconds from now, by the server's own clock; what is neither says nothing."""
    server.next(Fault.error(429, "busy", headers=headers))
    with pytest.raises(RateLimited) as caught:
        await provider.complete(REQUEST)
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("sk-a\nb", "a line break stands at place 5 of 6"),
        ("sk-“abc”", "the character '“' stands at place 4"),
        ("sk-a b", "a blank stands at place 5"),
        ("sk-\x00", "the character"),
    ],
)
def test_a_malformed_key_is_called_that(monkeypatch: pytest.MonkeyPatch, key: str, words: str) -> None:
    """Before anything is sent, and without showing it."""
    monkeypatch.setenv("OPENAI_API_KEY", key.replace("\x00", "\x01"))
    with pytest.raises(ProviderError, match=f"the key in OPENAI_API_KEY is malformed: {words}") as caught:
        OpenAIProvider()
    assert key not in str(caught.value)
    with pytest.raises(ProviderError, match="the key in api_key is malformed"):
        OpenAIProvider(api_key=key)


async def test_blanks_around_the_key_and_the_address_are_stripped(server: OpenAIServer) -> None:
    """They come from files and from copying."""
    provider = OpenAIProvider(base_url=f" {server.base_url}\n", api_key="  key\n")
    await provider.complete(REQUEST)
    assert server.requests[0].headers["Authorization"] == "Bearer key"
    await provider.aclose()


async def test_a_version_in_the_base_url_goes_with_every_request(server: OpenAIServer) -> None:
    """As Azure wants it, with the key under Azure's name; errors show the address without it."""
    provider = OpenAIProvider(
        base_url=f"{server.base_url}?api-version=2025-01-01&x=a%26b", api_key="key", max_retries=0
    )
    server.next(Fault.error(404, "no such deployment"))
    with pytest.raises(ProviderError, match=f"at {server.base_url} failed"):
        await provider.complete(REQUEST)
    await provider.complete(REQUEST)
    await provider.aclose()
    for request in server.requests:
        assert request.query == {"api-version": "2025-01-01", "x": "a&b"}
        assert request.headers["api-key"] == "key"


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "```json\n[NaN]\n```"])
async def test_a_model_s_json_with_nan_in_it_is_a_failed_call(text: str) -> None:
    """Whatever the provider: #:json #t promises JSON."""
    async with Runtime(provider=ScriptedProvider([text])) as runtime:
        result = await runtime.run('(llm-query #:instruction "json" #:json #t)')
    assert result.status == "error"
    assert "no valid JSON" in str(result.error)


def test_a_malformed_base_url_is_called_that() -> None:
    """When the provider is made."""
    with pytest.raises(ProviderError, match=r"the base URL 'http://\[::1/v1' is malformed"):
        OpenAIProvider(base_url="http://[::1/v1", api_key="k")


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:9/v1", "http://secret@host/v1"])
def test_a_password_in_the_base_url_is_refused_and_not_shown(address: str) -> None:
    """The key has a place of its own, and errors are shown, logged and sent to models."""
    with pytest.raises(ProviderError, match="holds a user name or password") as caught:
        OpenAIProvider(base_url=address, api_key="k")
    assert "secret" not in str(caught.value)
