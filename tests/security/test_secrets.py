"""A key that a server repeats reaches no program, no error, no log and no answer."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from rlm_wasm import Completion, CompletionRequest, ProviderError, Runtime
from rlm_wasm.providers.openai import OpenAIProvider
from rlm_wasm.redaction import Secrets, without_credentials
from rlm_wasm.testing import Fault, OpenAIServer

KEY = "sk-hunter2-0123456789"
CATCH = (
    '(with-handlers ((void (lambda (e) (display (exn-message e))))) (syntax-e (llm-query #:instruction "x")))'
)

FAULTS = {
    "a refused key": Fault.error(401, f"Incorrect API key provided: {KEY}."),
    "the headers of the request": Fault.error(400, f"no such thing: Authorization: Bearer {KEY}"),
    "a failed server": Fault.error(500, f"cannot look up {KEY}"),
    "a server that is busy": Fault.error(429, f"quota of {KEY} is used up"),
    "an error with status 200": Fault(
        kind="raw", text='{"error": {"message": "key ' + KEY + '", "code": 500}}'
    ),
    "what is no answer": Fault(kind="raw", text=f"<html>Bearer {KEY}</html>"),
    "an answer without a choice": Fault(kind="raw", text='{"sent": "' + KEY + '"}'),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_repeats_the_key_tells_it_to_nobody(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither to the program that handles the failure, nor to whoever reads the log."""
    async with OpenAIServer() as server:
        server.next(FAULTS[fault])
        provider = OpenAIProvider(base_url=server.base_url, api_key=KEY, max_retries=0)
        async with Runtime(provider, python="off") as runtime, runtime.session() as session:
            with caplog.at_level(logging.DEBUG):
                result = await session.execute(CATCH)
            told = (
                f"{result!r} {session.scope_log()} {session.state()} {caplog.text} {provider!r} {runtime!r}"
            )
        await provider.aclose()
    assert "call 1" in result.stdout
    assert KEY not in told
    assert "hunter2" not in told


async def test_an_answer_with_the_request_in_it_has_the_key_hidden() -> None:
    """As a server for debugging gives: the program gets the answer, and no key."""
    async with OpenAIServer(lambda request: f"you sent {request.headers['authorization']}") as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key=KEY, max_retries=0)
        answer = await provider.complete(CompletionRequest(id=1, instruction="x", data=""))
        await provider.aclose()
    assert isinstance(answer, Completion)
    assert answer.text == "you sent Bearer ***"


async def test_a_library_that_repeats_the_key_in_its_error_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of another vendor's library, whose errors are its own."""
    litellm = pytest.importorskip("litellm", reason="litellm is not installed")
    from rlm_wasm.integrations.litellm import LiteLLMProvider

    async def fails(**_body: Any) -> None:
        raise RuntimeError(f"bad key {KEY}")

    monkeypatch.setattr(litellm, "acompletion", fails)
    with pytest.raises(ProviderError) as caught:
        await LiteLLMProvider("m", api_key=KEY).complete(CompletionRequest(id=1, instruction="x", data=""))
    assert str(caught.value) == "m: bad key ***"


def test_a_key_of_a_few_letters_is_no_secret() -> None:
    """Servers without accounts take any word, which stands in ordinary text."""
    assert Secrets("test").hidden_in("the test failed") == "the test failed"
    assert Secrets("").hidden_in("the test failed") == "the test failed"


ODD = "s3cr3t-Pa ss/w+rd==<&>\"'"


@pytest.mark.parametrize(
    "form",
    [
        ODD,
        json.dumps(ODD),
        json.dumps(ODD).replace("/", "\\/"),
        quote(ODD),
        quote(ODD, safe=""),
        quote(ODD, safe="").lower(),
        quote_plus(ODD),
        repr(ODD),
        "".join(char if char.isalnum() or char == "-" else f"\\u{ord(char):04x}" for char in ODD),
    ],
)
def test_a_secret_is_hidden_however_it_is_written(form: str) -> None:
    """As URLs and JSON write it, in a text and in data."""
    secrets = Secrets(ODD)
    assert "s3cr3t" not in secrets.hidden_in(f"you sent {form}!")
    hidden = secrets.hidden_in_data({form: [1, None, {"x": f"<{form}>"}]})
    assert "s3cr3t" not in json.dumps(hidden)


async def test_a_key_at_the_place_where_an_error_is_cut_is_hidden_whole() -> None:
    """It is taken out before the text is cut, so that no part of it is left at the end."""
    for place in range(470, 520, 7):
        async with OpenAIServer() as server:
            server.next(Fault.error(400, "x" * place + KEY + "y" * 500))
            provider = OpenAIProvider(base_url=server.base_url, api_key=KEY, max_retries=0)
            with pytest.raises(ProviderError) as caught:
                await provider.complete(CompletionRequest(id=1, instruction="x", data=""))
            await provider.aclose()
        assert "sk-" not in str(caught.value)


async def test_a_key_in_an_escaped_answer_or_in_a_header_is_hidden() -> None:
    """PHP writes a slash as \\/, others all that is special in HTML by its code; rate limits come by headers."""
    key = "a/key+with/odd=characters"
    escaped = key.replace("/", "\\/").replace("+", "\\u002B")
    body = '{"choices": [{"message": {"content": "you sent ' + escaped + '"}}], "model": "' + escaped + '"}'
    async with OpenAIServer() as server:
        server.next(
            Fault(
                kind="status",
                status=200,
                text=body,
                headers={"Content-Type": "application/json", "x-ratelimit-of": key},
            )
        )
        provider = OpenAIProvider(base_url=server.base_url, api_key=key, max_retries=0)
        answer = await provider.complete(CompletionRequest(id=1, instruction="x", data=""))
        await provider.aclose()
    assert answer.text == "you sent ***"
    assert "odd" not in repr(answer)


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_traceback_of_a_failed_call_has_the_key(fault: str) -> None:
    """The vendor's own error stands below ours where it repeats nothing: else it is left out."""
    async with OpenAIServer() as server:
        server.next(FAULTS[fault])
        provider = OpenAIProvider(
            base_url=f"{server.base_url}?api-key=qu3ry-k3y-0123", api_key=KEY, max_retries=0
        )
        with pytest.raises(ProviderError) as caught:
            await provider.complete(CompletionRequest(id=1, instruction="x", data=""))
        await provider.aclose()
    shown = "".join(traceback.format_exception(caught.value))
    shown += repr([caught.value.__cause__, caught.value.__context__])
    assert "hunter2" not in shown
    assert "qu3ry" not in shown


async def test_a_key_of_the_address_s_query_is_hidden_wherever_it_is_repeated() -> None:
    """A debugging server gives the query as a table, in which no name stands before an equals sign."""
    query = "qu3ry-k3y-0123"
    async with OpenAIServer(lambda _request: f'{{"args": {{"api-key": "{query}"}}}}') as server:
        provider = OpenAIProvider(
            base_url=f"{server.base_url}?api-key={query}&api=v1", api_key="k", max_retries=0
        )
        answer = await provider.complete(CompletionRequest(id=1, instruction="x", data=""))
        await provider.aclose()
    assert answer.text == '{"args": {"api-key": "***"}}'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=h user=me password=hunter2 dbname=x", "host=h user=me password=*** dbname=x"),
        ("host=h password='hunter2 and more' dbname=x", "host=h password=*** dbname=x"),
        ("postgresql://h/db?options=-c%20my.password%3Dhunter2&x=1", "postgresql://h/db?options=-c%20my.password%3D***&x=1"),
        ("the word password, and what is secret", "the word password, and what is secret"),
    ],
)  # fmt: skip
def test_a_password_is_hidden_in_other_addresses_than_urls(text: str, shown: str) -> None:
    """As libpq writes them, and those within a value."""
    assert without_credentials(text) == shown


@pytest.mark.parametrize("part", ["?key", "key", "passw", "://", "@", "&token=", "secret%3D", "a"])
def test_a_text_of_megabytes_is_looked_through_at_once(part: str) -> None:
    """Whoever writes an error's text cannot make that take long: work in proportion to its length."""
    assert without_credentials("?" + part * (1_000_000 // len(part)))
