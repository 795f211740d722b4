"""Iterations are chapters of the run log, with what the root model was asked and what it replied."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from rlm_wasm import Completion, CompletionRequest, Limits, ProviderError, Runtime
from rlm_wasm.runlog.events import ChapterStarted, Record, RunStarted
from rlm_wasm.runlog.rendering import text_of
from rlm_wasm.runlog.story import RunStory, stories
from rlm_wasm.testing import GatedProvider, InlineProvider

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
    assert len({record.run for record in told}) == len(runs), "no record stands beside the runs"
    return [(record.title, runs[record.run]) for record in told if isinstance(record, ChapterStarted)]


async def test_every_program_of_a_question_is_a_chapter() -> None:
    """By the number of its iteration; one without a program has a run without one; checks leave no trace."""
    replies = list(REPLIES)
    assert await chapters(InlineProvider(lambda request: replies.pop(0))) == [
        ("Iteration 1: What is the text?", ""),
        ("Iteration 2: What is the text?", "(define n 1)"),
        ("Iteration 3: What is the text?", "(finish n)"),
    ]


async def test_the_planners_program_is_one() -> None:
    """Where nobody writes one."""
    ((title, program),) = await chapters("extractive")
    assert title == "The planner's program: What is the text?"
    assert "context-chunks" in program


class Priced:
    """Replies in turn; each call has a price in tokens."""

    def __init__(self, *replies: str | Exception) -> None:
        self.replies = list(replies)

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        reply = self.replies.pop(0) if request.purpose == "program" or len(self.replies) == 1 else "[read]"
        if isinstance(reply, Exception):
            raise reply
        return Completion(text=reply, prompt_tokens=10, completion_tokens=2)


async def told(provider: Any, **asked: Any) -> list[RunStory]:
    """The chapters of a question, put together."""
    records: list[Record] = []
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        session.subscribe(records.append)
        await session.load_context("the text")
        await session.ask("What is the text?", **asked)
    return list(stories(records).values())


async def test_what_the_root_model_was_asked_and_replied_stands_in_its_chapter() -> None:
    """Prose, a program that a check refuses, and one that ran with a call: each with its own calls and tokens."""
    prose, refused, ran = await told(
        Priced(
            "Only prose.",
            "```scheme\n(nosuch 1)\n```",
            '```scheme\n(finish (syntax-e (llm-query #:instruction "Read")))\n```',
            "never asked",
        )
    )
    for story, reply in ((prose, "Only prose."), (refused, "(nosuch 1)"), (ran, "(finish")):
        root = next(iter(story.calls.values()))
        assert (root.queued.op, root.status) == ("ask", "done")
        assert "What is the text?" in root.queued.instruction.text
        assert root.ended is not None
        assert root.ended.answer is not None
        assert reply in root.ended.answer.text
    assert (prose.status, prose.started and prose.started.program.text) == ("unrun", "")
    assert prose.ended is not None
    assert prose.ended.error is not None
    assert "program" in prose.ended.error.message
    assert (refused.status, refused.started and refused.started.program.text) == ("unrun", "(nosuch 1)")
    assert [(story.tokens, len(story.calls)) for story in (prose, refused, ran)] == [
        (12, 1),
        (12, 1),
        (24, 2),
    ]
    shown = text_of(prose, full=True)
    assert "part of: Iteration 1" in shown
    assert "Only prose." in shown
    assert "What is the text?" in shown


async def test_a_last_word_is_a_chapter() -> None:
    """With its text as the run's value."""
    _, last = await told(Priced("```scheme\n1\n```", "I would say so."), max_iterations=1)
    assert last.chapter.startswith("The last word")
    assert (last.status, last.ended and last.ended.value.text) == ("limit", "I would say so.")
    assert [call.queued.op for call in last.calls.values()] == ["last-word"]


async def test_a_root_call_that_fails_is_in_its_chapter() -> None:
    """With its error; one that no limit allows is, too."""
    (story,) = await told(Priced(ProviderError("the server is down"), "unused"))
    (call,) = story.calls.values()
    assert (story.status, call.status, call.ended and call.ended.error) == (
        "error",
        "failed",
        "the server is down",
    )
    (story, *_) = await told(Priced("unused", "unused"), timeout_s=1e-9)
    assert story.status in ("limit", "error")


async def test_a_question_that_is_cancelled_leaves_no_chapter_open() -> None:
    """What is run next in the session is no part of it."""
    records: list[Record] = []
    gate = GatedProvider(lambda request: "unused")
    async with Runtime(provider=gate, limits=Limits()) as runtime, runtime.session() as session:
        session.subscribe(records.append)
        asking = asyncio.create_task(session.ask("What?"))
        await gate.arrived(1)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await session.execute("(+ 1 1)")
    asked, ran = stories(records).values()
    assert (asked.status, [call.status for call in asked.calls.values()]) == ("cancelled", ["cancelled"])
    assert (ran.chapter, ran.status) == ("", "ok")
