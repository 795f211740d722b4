"""What a program is given on the command line beside its text: arguments, retries, kept answers."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlm_wasm import Runtime, UsageError
from rlm_wasm.cli import main
from rlm_wasm.cli.progress import Display
from rlm_wasm.testing import Fault, OpenAIServer

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command in this process: its status, standard output and standard error."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), said.out, said.err

    return run


# ---- --arg


def test_arguments_are_a_table_of_texts(run: Run) -> None:
    """Everything behind the first = is the value."""
    source = '(let ((a (args))) (list (hash-ref a "year") (hash-ref a "formula") (hash-ref a "empty") (hash-count a)))'
    given = ["--arg", "year=2024", "--arg", "formula=a=b c", "--arg", "empty="]
    status, out, _ = run("run", "-p", "echo", *given, "--json", "-e", source)
    assert status == 0
    assert '"data": ["2024", "a=b c", "", 3]' in out


def test_without_arguments_the_table_is_empty(run: Run) -> None:
    """So that a program has its defaults in one place."""
    assert run("run", "-p", "echo", "-e", '(hash-ref (args) "year" "2023")') == (0, "2023\n", "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--arg", "year"], "--arg takes NAME=VALUE, not 'year'"),
        (["--arg", "=2024"], "--arg takes NAME=VALUE, not '=2024'"),
        (["--arg", "a=1", "--arg", "a=2"], "--arg a is given twice"),
    ],
)
def test_what_is_no_argument_is_a_usage_error(run: Run, given: list[str], message: str) -> None:
    """Before anything runs."""
    status, out, err = run("run", *given, "-e", "1")
    assert (status, out) == (2, "")
    assert message in err


def test_every_command_that_runs_a_program_takes_arguments(run: Run) -> None:
    """The REPL and the search for limits, too."""
    assert run("repl", "-p", "echo", "--arg", "n=7", stdin=b'(hash-ref (args) "n")')[1] == "7\n"
    status, out, _ = run("limits", "-p", "echo", "--arg", "n=7", "--json", "-e", '(hash-ref (args) "n")')
    assert status == 0
    assert '"value": "7"' in out


def test_a_named_session_sees_the_arguments_of_each_run(run: Run, tmp_path: Path) -> None:
    """Like other grants they are no part of what is kept."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    kept = ["run", "-p", "echo", "--store", url, "--session", "s"]
    assert run(*kept, "--arg", "n=1", "-e", '(define (n) (hash-ref (args) "n" "none")) (n)')[1] == "1\n"
    assert run(*kept, "--arg", "n=2", "-e", "(n)")[1] == "2\n"
    assert run(*kept, "-e", "(n)")[1] == "none\n"
    assert run(*kept, "--arg", "n=3", "-e", "(n)")[1] == "3\n"


async def test_an_embedder_gives_arguments_as_data() -> None:
    """To every session of the Runtime, whatever host functions it has of its own; to no child."""
    async with Runtime("echo", python="off", args={"sizes": [1, 2], "deep": {"a": None}}) as runtime:
        result = await runtime.run('(list (apply + (hash-ref (args) "sizes")) (hash-ref (args) "deep"))')
        assert result.data == [3, {"a": None}]
        async with runtime.session(host_functions={"f": lambda: 1}) as session:
            assert (await session.execute("(list (f) (hash-count (args)))")).data == [1, 2]
        assert (await runtime.run("(define (args) 5) (args)")).value == "5"
    with pytest.raises(UsageError, match="cannot be called args"):
        Runtime("echo", args={"a": 1}, host_functions={"args": lambda: 1})
    with pytest.raises(UsageError, match="an argument's name must be a text"):
        Runtime("echo", args={1: "a"})  # type: ignore[dict-item]


# ---- --retries and --cache


async def _served(command: Callable[[str], None], *faults: Fault) -> int:
    import asyncio

    async with OpenAIServer(lambda request: "the answer") as server:
        server.next(*faults)
        await asyncio.to_thread(command, server.base_url)
        return len(server.requests)


ASK = '(syntax-e (llm-query #:instruction "What?"))'


async def test_retries_says_how_often_a_call_is_sent_again(run: Run) -> None:
    """None: the first refusal is the answer."""
    fault = Fault.rate_limit(retry_after_s=0.01)

    def refused(url: str) -> None:
        status, _, err = run("run", "--base-url", url, "--retries", "0", "-e", ASK)
        assert status == 4
        assert "refused for now (429)" in err

    def patient(url: str) -> None:
        assert run("run", "--base-url", url, "--retries", "3", "-e", ASK)[:2] == (0, "the answer\n")

    assert await _served(refused, fault) == 1
    assert await _served(patient, fault, fault, fault) == 4


@pytest.mark.parametrize("quiet", [False, True])
async def test_a_wait_is_said_while_it_lasts(
    quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run that waits for a server looks like one that hangs; afterwards nobody listens."""
    log = logging.getLogger("rlm_wasm.providers")
    monkeypatch.setattr(log, "handlers", [])  # a server of an earlier test may have left its own
    with Display(quiet=quiet):
        log.info("the server refuses for now: waiting %d s", 20)
        said = capsys.readouterr()
    log.info("the server refuses again")
    assert said.err == ("" if quiet else "rlm-wasm: the server refuses for now: waiting 20 s\n")
    assert said.out == ""
    assert "again" not in capsys.readouterr().err


async def test_kept_answers_are_not_asked_for_again(run: Run, tmp_path: Path) -> None:
    """By a URL of their own, or in the run's own store; what has a temperature above 0 is sent."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    warm = ASK.replace("#:instruction", "#:temperature 1 #:instruction")

    def command(server: str) -> None:
        for cache in (["--cache", url], ["--cache", "store", "--store", url]):
            for source in (ASK, ASK, warm):
                assert run("run", "--base-url", server, *cache, "-e", source)[:2] == (0, "the answer\n")

    assert await _served(command) == 1 + 2


def test_limits_reads_no_cache(run: Run) -> None:
    """Every one of its runs begins with nothing."""
    status, _, err = run("limits", "-p", "echo", "--cache", "memory", "-e", "1")
    assert status == 2
    assert "no cache" in err
