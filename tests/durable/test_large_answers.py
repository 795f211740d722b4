"""What takes turns of the event loop between an answer and its reply is as safe in a store as what does not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from durable.test_durable_sessions import expire

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, Session, turns
from rlm_wasm.execution.journal import JournalWriter
from rlm_wasm.store.records import Batch

LIMITS = Limits(tokens=100_000_000)
LARGE = """
(finish (apply + (map string-length
  (map-async (lambda (n) (llm-query-async #:instruction (number->string n))) (range 3)))))
"""
FORKS = """
(define (work n)
  (string-append (syntax-e (llm-query #:instruction (format "~a" n))) (make-string 500000 #\\é)))
(finish (map string-length (fork-map work (range 3))))
"""


class Model:
    """Answers with a text of that length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.answered: list[str | None] = []
        self.all_three = asyncio.Event()

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        self.answered.append(request.idempotency_key)
        if len(self.answered) == 3:  # one that is sent when the session is left is another matter
            self.all_three.set()
        return Completion(text="é" * self._length, prompt_tokens=1, completion_tokens=9)


async def suspended(session: Session) -> None:
    """Left in its middle, by its owner."""
    assert await session.suspend()


async def closed(session: Session) -> None:
    """The same by whoever ends the process in good order."""
    await session.aclose()


@pytest.mark.parametrize("leave", [suspended, closed])
@pytest.mark.parametrize("length", [300_000, 1_500_000])
async def test_what_is_answered_when_a_session_is_left_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leave: Callable[[Session], Awaitable[None]], length: int
) -> None:
    """Also while it is looked through."""
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    url = f"sqlite:///{tmp_path / 'state.db'}"
    model, again = Model(length), Model(length)
    async with Runtime(model, store=url, durable=True, python="off", limits=LIMITS) as runtime:
        session = runtime.session(name="work")
        running = asyncio.create_task(session.execute(LARGE))
        await model.all_three.wait()
        await leave(session)
        assert (await running).status == "cancelled"
    async with Runtime(again, store=url, durable=True, python="off", limits=LIMITS) as runtime:
        session = await runtime.resume("work")
        result = await session.resume()
        assert (result.status, result.data) == ("finished", 3 * length)
        assert not set(model.answered) & set(again.answered)
        assert (result.execution.calls, result.execution.tokens) == (3, 30)


async def test_forks_that_are_over_are_given_again_whenever_the_process_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their values are large, so that there is a while between the end of one and its parent's answer."""
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    path = tmp_path / "state.db"
    copies: list[tuple[Path, list[str | None]]] = []
    written = JournalWriter.write

    async def copying(self: JournalWriter, transaction: Callable[[Batch], Awaitable[None]]) -> None:
        """What a process leaves that dies after this transaction."""

        async def copied(batch: Batch) -> None:
            before = list(model.answered)
            await transaction(batch)
            copies.append((tmp_path / f"{len(copies)}.db", before))
            with sqlite3.connect(path) as source, sqlite3.connect(copies[-1][0]) as copy:
                source.backup(copy)

        await written(self, copied)

    model = Model(10)
    with monkeypatch.context() as patch:
        patch.setattr(JournalWriter, "write", copying)
        async with Runtime(model, store=f"sqlite:///{path}", durable=True, python="off") as runtime:
            value = (await runtime.session(name="work").execute(FORKS)).value
            copies.pop()  # what came after its end
    for copy, before in copies:
        copy.chmod(0o600)
        url = f"sqlite:///{copy}"
        expire(url)
        again = Model(10)
        async with Runtime(again, store=url, durable=True, python="off") as runtime:
            session = await runtime.resume("work")
            if session.suspended:  # else it had not begun, or was over
                result = await session.resume()
                assert (result.status, result.value) == ("finished", value), result.error
                assert not set(before) & set(again.answered)
                assert result.execution.calls == 3
