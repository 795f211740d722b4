"""A key that a server repeats reaches no program, no error, no log and no answer."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, ProviderError, Runtime
from rlm_wasm.providers.openai import OpenAIProvider
from rlm_wasm.redaction import without_secret
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
    assert without_secret("the test failed", "test") == "the test failed"
    assert without_secret("the test failed", "") == "the test failed"
