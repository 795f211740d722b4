"""Iterations are chapters of the run log."""

from __future__ import annotations

from typing import Any

from rlm_wasm import Runtime
from rlm_wasm.runlog.events import ChapterStarted, Record, RunStarted
from rlm_wasm.testing import InlineProvider

REPLIES = ["prose", "```scheme\n(define n 1)\n```", "```scheme\n(finish n)\n```"]


async def chapters(provider: Any) -> list[tuple[str, str]]:
    """Titles, each with the program of the run that belongs to it."""
    told: list[Record] = []
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        session.subscribe(told.append)
        await session.load_context("the text")
        answer = await session.ask("What is the text?")
        assert answer.ok, answer.error
    runs = {record.run: record.program.text for record in told if isinstance(record, RunStarted)}
    return [(record.title, runs[record.run]) for record in told if isinstance(record, ChapterStarted)]


async def test_every_program_of_a_question_is_a_chapter() -> None:
    """By the number of its iteration; a reply without a program has none, and checks leave no trace."""
    replies = list(REPLIES)
    assert await chapters(InlineProvider(lambda request: replies.pop(0))) == [
        ("Iteration 2: What is the text?", "(define n 1)"),
        ("Iteration 3: What is the text?", "(finish n)"),
    ]


async def test_the_planners_program_is_one() -> None:
    """Where nobody writes one."""
    ((title, program),) = await chapters("extractive")
    assert title == "The planner's program: What is the text?"
    assert "context-chunks" in program
