"""A password in a URL reaches neither a program, nor an error, nor a log, nor JSON, nor a list."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from rlm_wasm import ProviderError, Runtime
from rlm_wasm.cli import main
from rlm_wasm.providers.openai import OpenAIProvider
from rlm_wasm.redaction import address_without_credentials, without_credentials
from rlm_wasm.testing import Fault, OpenAIServer

Run = Callable[..., str]


@pytest.fixture
def run(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run the command in this process; gives all that it printed and logged."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hunter2")

    def run(*arguments: str) -> str:
        with caplog.at_level(logging.DEBUG), pytest.raises(SystemExit):
            main([*arguments])
        said = capfd.readouterr()
        return said.out + said.err + caplog.text

    return run


BASE_URLS = [
    "http://me:hunter2@127.0.0.1:9/v1",
    "https://hunter2@127.0.0.1:9/v1",
    "ftp://me:hunter2@127.0.0.1:9/v1",
    "me:hunter2@127.0.0.1:9/v1",
    "http://me:hunter2@[::1:9/v1",
    "http://me:hun/hunter2@127.0.0.1:9/v1",
    "http://127.0.0.1:9/v1?api-key=hunter2",
]
STORES = ["postgresql://me:hunter2@127.0.0.1:9/db", "nosuch://me:hunter2@db/x", "me:hunter2@db/x"]
CATCH = (
    '(with-handlers ((void (lambda (e) (display (exn-message e))))) (syntax-e (llm-query #:instruction "x")))'
)


@pytest.mark.parametrize("url", BASE_URLS)
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_base_url_s_password_is_told_to_nobody(run: Run, url: str, json: tuple[str, ...]) -> None:
    """Not to the program that handles the failure, nor to whoever reads what is printed."""
    for program in (CATCH, '(syntax-e (llm-query #:instruction "x"))'):
        printed = run("run", "-p", "openai", "--base-url", url, "--python", "off", *json, "-e", program)
        assert printed
        assert "hunter2" not in printed


@pytest.mark.parametrize("url", BASE_URLS)
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_doctor_shows_no_password(run: Run, url: str, json: tuple[str, ...]) -> None:
    """Whether the address can be reached or not."""
    assert "hunter2" not in run("doctor", "--base-url", url, *json)
    assert "hunter2" not in run("doctor", "--base-url", url, "--offline", *json)


@pytest.mark.parametrize("url", STORES)
def test_a_store_s_password_is_told_to_nobody(run: Run, url: str) -> None:
    """By none of the commands that open one."""
    for command in (
        ("run", "-p", "echo", "--session", "s", "-e", "1"),
        ("run", "-p", "echo", "--json", "-e", '(checkpoint "k" 1)'),
        ("sessions", "list"),
        ("sessions", "list", "--json"),
        ("mcp", "-p", "echo"),
    ):
        printed = run(*command[:1], *command[1:], "--store", url)
        assert "error" in printed.lower()
        assert "hunter2" not in printed


def test_a_failure_in_a_kept_session_s_note_holds_no_password(run: Run, tmp_path: Path) -> None:
    """The list of sessions shows the last error."""
    store = f"sqlite:///{tmp_path / 'state.db'}"
    url = "http://127.0.0.1:9/v1?api-key=hunter2"
    program = '(syntax-e (llm-query #:instruction "x"))'
    run("run", "-p", "openai", "--base-url", url, "--store", store, "--session", "s", "-e", program)
    for json in ((), ("--json",)):
        listed = run("sessions", "list", "--store", store, *json)
        assert "llm-query: call 1" in listed
        assert "hunter2" not in listed


async def test_a_server_that_repeats_its_address_is_not_repeated() -> None:
    """In the error that the program may read."""
    async with OpenAIServer() as server:
        server.next(Fault.error(400, "no such path: https://me:hunter2@here/v1?api-key=hunter2&x=1"))
        provider = OpenAIProvider(base_url=server.base_url, api_key="k", max_retries=0)
        async with Runtime(provider, python="off") as runtime:
            result = await runtime.run(CATCH)
        await provider.aclose()
    assert "https://***@here/v1?api-key=***&x=1" in result.stdout


def test_a_malformed_address_is_shown_without_what_opens_it() -> None:
    """All that stands before an @ goes."""
    with pytest.raises(ProviderError, match=r"got '\*\*\*@host/v1'"):
        OpenAIProvider(base_url="me:pass@word@host/v1")
    assert (
        address_without_credentials("http://u:p@ss@host:1/v1?Token=x#y") == "http://***@host:1/v1?Token=***#y"
    )
    assert without_credentials("see https://example.org/a@b?page=2") == "see https://example.org/a@b?page=2"
