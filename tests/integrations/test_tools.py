"""What the tools of every framework do, and the session that they may have of their own. No framework needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rlm_wasm import Runtime, UsageError
from rlm_wasm.errors import SessionClosed
from rlm_wasm.integrations.loop_thread import LoopThread
from rlm_wasm.integrations.tools import OwnSession, SessionTools
from rlm_wasm.testing import InlineProvider


async def test_tools_give_text_that_a_model_can_read() -> None:
    """A value in write form, output, an error with its place; long ones cut."""
    async with Runtime(provider="extractive") as runtime, runtime.session() as session:
        tools = SessionTools(session)
        assert await tools.execute_scheme('(displayln "seen") (list 1 "a")') == '(1 "a")\n\nstdout:\nseen'
        assert "nosuch" in await tools.execute_scheme("(nosuch)")
        assert len(await tools.execute_scheme("(make-string 50000 #\\a)")) <= 10_000
        assert await tools.execute_scheme("(void)") == "ok, without a value"
        assert "main context" in await tools.load_context("The captain was Ada.")
        assert await tools.list_contexts() == {"context": 20}
        assert "The captain was Ada." in await tools.ask("Who was the captain?")


async def test_a_last_word_says_that_it_was_not_computed() -> None:
    """First of all."""
    provider = InlineProvider(lambda request: "prose")
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        await session.load_context("x")
        assert (await SessionTools(session).ask("q")).startswith("NOT COMPUTED: prose")


def test_a_session_of_ones_own_works_from_synchronous_code(tmp_path: Path) -> None:
    """With files loaded; closing it twice is no harm."""
    (tmp_path / "a.txt").write_text("The captain was Ada.")
    with OwnSession(tmp_path, provider="extractive") as sandbox:
        assert (
            sandbox.run(sandbox.tools.execute_scheme("(define n 1) (context-names)"))
            == f'("{tmp_path.name}/a.txt")'
        )
        assert sandbox.run(sandbox.tools.execute_scheme("(+ n 1)")) == "2"
    sandbox.close()


async def test_a_session_of_ones_own_works_from_another_loop() -> None:
    """Several calls wait for each other, not the loop for them."""
    with OwnSession("text", provider="extractive") as sandbox:
        assert await sandbox.arun(sandbox.tools.execute_scheme("context")) == "text"


def test_what_cannot_be_loaded_or_granted_is_told_at_once() -> None:
    """And leaves no thread behind."""
    with pytest.raises(UsageError):
        OwnSession(Path("no-such-file"))
    with pytest.raises(UsageError, match="unknown provider"):
        OwnSession(provider="no-such-provider")


def test_a_loop_in_a_thread_passes_on_what_is_raised() -> None:
    """And ends when it is closed."""
    thread = LoopThread("test")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        thread.run(fail())
    thread.close()
    thread.close()
    assert not thread.alive


async def test_what_a_model_did_wrong_is_told_to_it() -> None:
    """An agent goes on: nothing of it is raised."""
    with OwnSession("text", provider="extractive") as sandbox:
        tools = sandbox.tools
        assert (
            await sandbox.arun(tools.ask(" "))
            == "error: ask: the question must be a text that says something"
        )
        assert (await sandbox.arun(tools.execute_scheme(5))).startswith("error: execute: the program must be")  # type: ignore[arg-type]
        assert (await sandbox.arun(tools.load_context(None))).startswith("error: ")  # type: ignore[arg-type]
        assert await sandbox.arun(tools.execute_scheme("(+ 1 1)")) == "2"


async def test_tools_that_are_called_at_once_run_one_after_the_other() -> None:
    """Frameworks call all that a model asks for in one turn together."""
    program = '(define n (length (map-async (lambda (x) (llm-query-async #:instruction "say" #:data x)) (list "a" "b")))) n'
    with OwnSession("The captain was Ada.", provider="echo") as sandbox:
        work = [sandbox.arun(sandbox.tools.execute_scheme(program)) for _ in range(4)]
        assert await asyncio.gather(*work) == ["2"] * 4


def test_a_closed_sandbox_says_so() -> None:
    """And not that some event loop is closed."""
    sandbox = OwnSession("text", provider="extractive")
    sandbox.close()
    with pytest.raises(SessionClosed, match="the sandbox of these tools is closed"):
        sandbox.run(sandbox.tools.execute_scheme("1"))
