"""A question that a process died over goes on in the next: no reply and no sub-call is paid twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import pydantic
import pytest
from durable.test_durable_sessions import crash, expire

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, UsageError
from rlm_wasm.errors import LeaseLost, ProviderError, SnapshotCorrupt
from rlm_wasm.execution.journal import JournalWriter, Kind
from rlm_wasm.session_parts.inquiry import Inquiry

TEXT = "alpha beta gamma delta"
REPLIES = (
    "I would first have a look.",
    '```scheme\n(define words (string-split context " "))\n(displayln (length words))\n```',
    "```scheme\n(nosuch words)\n```",
    '```scheme\n(define said (map-async (lambda (w) (llm-query-async #:instruction "Read" #:data w)) words))\n```',
    '```scheme\n(finish (string-append (string-join said "+") (syntax-e (llm-query #:instruction "Sum" #:recursive 1))))\n```',
)
CHILD = '```scheme\n(finish (syntax-e (llm-query #:instruction "Below")))\n```'
VALUE = "[Read alpha]+[Read beta]+[Read gamma]+[Read delta][Below ]"
ROOT, ALL = len(REPLIES), len(REPLIES) + 6


class Models:
    """The root answers by how far the question has come; ``hang_at``: the so-manieth call has no answer."""

    def __init__(self, hang_at: int = 0, replies: tuple[str, ...] = REPLIES) -> None:
        self.sent: Counter[str | None] = Counter()
        self.answered: Counter[str | None] = Counter()
        self.hang_at = hang_at
        self.hanging = asyncio.Event()
        self.replies = replies

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        self.sent[request.idempotency_key] += 1
        if sum(self.sent.values()) == self.hang_at:
            self.hanging.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        self.answered[request.idempotency_key] += 1
        return Completion(text=self._text(request), prompt_tokens=7, completion_tokens=3)

    def _text(self, request: CompletionRequest) -> str:
        if request.purpose == "query":
            return f"[{request.instruction} {request.data}]"
        if "The question: Sum" in request.instruction:
            return CHILD
        return self.replies[min(request.data.count("## Iteration"), len(self.replies) - 1)]


def runtime_over(models: Models, url: str, **more: Any) -> Runtime:
    """With a store."""
    return Runtime(models, store=url, durable=True, python="off", **more)


async def asked(runtime: Runtime) -> Any:
    """The question, of a session that may have begun with it."""
    session = await runtime.resume("work", make=True)
    async with session:
        if not session.was_asked("q"):
            await session.load_context(TEXT)
        return await session.ask("What do they say?", request="q")


async def died(models: Models, runtime: Runtime, url: str, running: asyncio.Task[Any]) -> None:
    """The process dies when a call hangs, and what was answered beside it is written."""
    await models.hanging.wait()
    for _ in range(500):  # whatever share of them its work has, on a machine that is busy
        await asyncio.sleep(0)
    for session in runtime.sessions:
        await session.flush()
    await crash(runtime, url)
    with contextlib.suppress(LeaseLost):
        await running


def seen(answer: Any) -> Any:
    """What must be the same, however often it was interrupted."""
    steps = [
        (step.number, step.program, step.reply, step.status, step.value, step.error) for step in answer.steps
    ]
    return answer.status, answer.value, answer.how, answer.asked_again, steps


@pytest.fixture
async def whole(tmp_path: Path) -> Any:
    """The answer of one that nothing happened to."""
    models = Models()
    async with runtime_over(models, f"sqlite:///{tmp_path / 'whole.db'}") as runtime:
        answer = await asked(runtime)
    assert (answer.value, answer.asked_again, answer.execution.calls) == (VALUE, 1, ALL)
    assert sum(models.sent.values()) == ALL
    return answer


@pytest.mark.parametrize("at", range(1, ALL + 1))
async def test_a_question_goes_on_where_the_process_died_in_any_of_its_calls(
    url: str, whole: Any, at: int
) -> None:
    """What was answered is not asked again, what was in flight has its key, and all that was spent is counted."""
    models = Models(hang_at=at)
    runtime = runtime_over(models, url)
    running = asyncio.create_task(asked(runtime))
    await died(models, runtime, url, running)
    async with runtime_over(models, url) as runtime:
        answer = await asked(runtime)
        again = await asked(runtime)
    assert seen(answer) == seen(whole)
    assert seen(again) == seen(answer), "it is over: nothing is asked"
    assert set(models.answered.values()) == {1}
    assert models.sent.keys() == models.answered.keys()
    assert answer.execution.calls == ALL


async def test_a_question_goes_on_from_whatever_was_written_last(
    url: str, whole: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At any entry of its journal: that one and all that come after it are lost."""
    real = JournalWriter.append
    for at in range(1, 400, 7):  # one in seven, for the time that it takes
        left = at

        def append(self: JournalWriter, stream: str, entry: bytes) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.lost = LeaseLost("the process was killed")
                self._wake(self._appended)
            real(self, stream, entry)

        monkeypatch.setattr(JournalWriter, "append", append)
        store, models = f"sqlite:///{tmp_path / f'{at}.db'}", Models()
        async with runtime_over(models, store) as runtime:
            with contextlib.suppress(LeaseLost):
                answer = await asked(runtime)
        monkeypatch.setattr(JournalWriter, "append", real)
        if left > 0:
            assert seen(answer) == seen(whole)
            assert at > 40, "it has that many entries"
            return
        expire(store)
        async with runtime_over(models, store) as runtime:
            answer = await asked(runtime)
        assert seen(answer) == seen(whole), at
        # In one process its last answers may have come when they could no longer be written.
        assert answer.execution.calls == ALL, at
    raise AssertionError("it never came to its end")


async def test_resume_goes_on_with_a_question(url: str, whole: Any) -> None:
    """Whoever takes up the session needs to know nothing: its Answer is a Result."""
    models = Models(hang_at=4)
    runtime = runtime_over(models, url)
    running = asyncio.create_task(asked(runtime))
    await died(models, runtime, url, running)
    async with runtime_over(models, url) as runtime, await runtime.resume("work") as session:
        assert session.suspended
        for refused in (
            session.execute("1"),
            session.ask("Another?"),
            session.ask("Another?", request="other"),
        ):
            with pytest.raises(UsageError, match="in the middle of an execution"):
                await refused
        assert seen(await session.resume()) == seen(whole)
        assert not session.suspended
        with pytest.raises(UsageError, match="no suspended execution"):
            await session.resume()
        assert (await session.execute("(length words)")).value == "4"


@pytest.mark.parametrize("at", [2, 5])
async def test_what_is_left_in_the_middle_can_be_abandoned(url: str, at: int) -> None:
    """Between programs and in one; then the session is as any other."""
    models = Models(hang_at=at)
    runtime = runtime_over(models, url)
    running = asyncio.create_task(asked(runtime))
    await died(models, runtime, url, running)
    async with runtime_over(Models(), url) as runtime, await runtime.resume("work") as session:
        session.abandon()
        assert not session.suspended
        assert (await session.execute("(+ 1 1)")).value == "2"
    async with runtime_over(Models(), url) as runtime, await runtime.resume("work") as session:
        assert not session.suspended
        assert not session.was_asked("q")


async def test_closing_leaves_a_question_in_its_middle(url: str, whole: Any) -> None:
    """As for a program: the next process goes on."""
    models = Models(hang_at=3)
    async with runtime_over(models, url) as runtime:
        running = asyncio.create_task(asked(runtime))
        await models.hanging.wait()
    assert (await running).status == "cancelled"
    async with runtime_over(models, url) as runtime:
        assert seen(await asked(runtime)) == seen(whole)
    assert set(models.answered.values()) == {1}


async def test_a_question_whose_task_was_cancelled_goes_on_when_it_is_asked_again(
    url: str, whole: Any
) -> None:
    """In the same session; what else is done with that gives it up."""
    models = Models(hang_at=3)
    async with runtime_over(models, url) as runtime, runtime.session(name="work") as session:
        await session.load_context(TEXT)
        running = asyncio.create_task(session.ask("What do they say?", request="q"))
        await models.hanging.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert not session.suspended
        assert seen(await session.ask("What do they say?", request="q")) == seen(whole)
        models.hang_at = sum(models.sent.values()) + 2
        models.hanging.clear()
        running = asyncio.create_task(session.ask("And now?", request="r"))
        await models.hanging.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert (await session.execute("1")).value == "1"
        assert not session.was_asked("r")
    async with runtime_over(models, url) as runtime, await runtime.resume("work") as session:
        assert not session.suspended


async def test_a_limit_is_a_last_word_once(url: str) -> None:
    """Where the process dies in that, it is said by the next, and no further program is asked for."""
    models = Models(hang_at=4, replies=("prose",))

    async def limited(runtime: Runtime) -> Any:
        async with await runtime.resume("work", make=True) as session:
            if not session.was_asked("q"):
                await session.load_context(TEXT)
            return await session.ask("What?", request="q", max_iterations=3)

    runtime = runtime_over(models, url)
    running = asyncio.create_task(limited(runtime))
    await died(models, runtime, url, running)
    async with runtime_over(models, url) as runtime:
        answer = await limited(runtime)
    assert (answer.status, answer.how, answer.error.kind, len(answer.steps)) == (
        "limit",
        "last word",
        "iterations",
        3,
    )
    assert sum(models.answered.values()) == 4


class Failing(Models):
    """Is down at the so-manieth call."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        if sum(self.sent.values()) + 1 == self.hang_at:
            self.sent[request.idempotency_key] += 1
            raise ProviderError("the server is down")
        return await super().complete(request)


async def test_a_question_that_failed_goes_on_from_what_it_had_found(url: str, whole: Any) -> None:
    """Asked again by the same id, in this process and in the next."""
    models = Failing(hang_at=3)
    async with runtime_over(models, url) as runtime:
        failed = await asked(runtime)
    assert (failed.status, failed.error.message) == ("error", "the server is down")
    assert [step.number for step in failed.steps] == [1, 2]
    async with runtime_over(models, url) as runtime:
        async with await runtime.resume("work") as session:
            assert not session.suspended
        answer = await asked(runtime)
    assert seen(answer) == seen(whole)


class Said(pydantic.BaseModel):
    """An answer's type."""

    said: str


async def test_runtime_ask_by_name_is_one_question_however_often(url: str) -> None:
    """Its data are loaded once; an answer is given again, as its type has it; another question is another."""
    replies = ('```scheme\n(define first (syntax-e (llm-query #:instruction "Read" #:data (substring (get-context "a.txt") 0 5))))\n```',
               '```scheme\n(finish (hash "said" first))\n```')  # fmt: skip
    models = Models(hang_at=2, replies=replies)

    async def ask(runtime: Runtime, question: str = "What?") -> Any:
        return await runtime.ask(question, {"a.txt": TEXT}, name="report", answer_type=Said)

    async with runtime_over(models, url) as runtime:
        running = asyncio.create_task(ask(runtime))
        await models.hanging.wait()
    assert (await running).status == "cancelled"
    async with runtime_over(models, url) as runtime:
        with pytest.raises(UsageError, match="in the middle"):
            await ask(runtime, "Another?")
        answer = await ask(runtime)
        assert (answer.value and answer.parsed.said, answer.computed) == ("[Read alpha]", True)
        assert (await ask(runtime)).parsed == answer.parsed
        made = sum(models.sent.values())
        assert (await ask(runtime, "Another?")).parsed == answer.parsed
        assert sum(models.sent.values()) == made + 3
    async with Runtime(models) as runtime:
        with pytest.raises(UsageError, match="durable=True"):
            await ask(runtime)


async def test_a_planned_question_goes_on_too(url: str) -> None:
    """Without a model that writes programs, its one program is resumed."""
    models = Models(hang_at=1)
    models.writes_programs = False  # type: ignore[attr-defined]
    runtime = runtime_over(models, url)
    running = asyncio.create_task(asked(runtime))
    await died(models, runtime, url, running)
    async with runtime_over(models, url) as runtime:
        answer = await asked(runtime)
    assert (answer.how, answer.status) == ("plan", "finished")
    assert set(models.answered.values()) == {1}


async def test_time_and_fuel_of_earlier_processes_count(url: str) -> None:
    """What was used until the last iteration is taken over."""
    models = Models(hang_at=5)
    runtime = runtime_over(models, url)
    running = asyncio.create_task(asked(runtime))
    await died(models, runtime, url, running)
    async with runtime_over(models, url) as runtime, await runtime.resume("work") as session:
        progress = session._parts.inquiry.progress
        assert progress is not None
        used = progress.steps[-1]
        answer: Any = await session.resume()
    assert answer.execution.fuel > used.fuel > 0
    assert answer.execution.elapsed > used.elapsed > 0


async def test_requests_are_for_durable_sessions() -> None:
    """There is nothing that could be gone on with."""
    async with Runtime(Models()) as runtime, runtime.session() as session:
        with pytest.raises(UsageError, match="request= is for durable sessions"):
            await session.ask("What?", request="q")


async def test_entries_that_fit_nothing_are_a_damaged_journal() -> None:
    """They are refused, and nothing is made of them."""
    async with Runtime("echo") as runtime, runtime.session() as session:
        inquiry: Inquiry = session._parts.inquiry
        with pytest.raises(SnapshotCorrupt, match="no question was asked"):
            inquiry.noted_before(Kind.ASK_CALL, [1])
        with pytest.raises(SnapshotCorrupt, match="a question"):
            inquiry.noted_before(Kind.ASK, [{"question": 1}])
        inquiry.noted_before(Kind.ASK, [{"question": "q", "contexts": []}])
        with pytest.raises(SnapshotCorrupt, match="an iteration"):
            inquiry.noted_before(Kind.ASK_STEP, [{}])
        inquiry.noted_before(Kind.ASK_RAN, [b"\x00"])
        with pytest.raises(SnapshotCorrupt, match="a program's result"):
            _ = inquiry.result_of_step
        inquiry.noted_before(Kind.ASK_END, [b"\xff", False])
        with pytest.raises(SnapshotCorrupt, match="what came of a question"):
            _ = inquiry.answer


async def test_limits_hold_over_a_crash(url: str) -> None:
    """Calls are counted once, whichever process made them."""
    models = Models(hang_at=3)
    limits = Limits(calls=ALL)
    runtime = runtime_over(models, url, limits=limits)
    running = asyncio.create_task(asked(runtime))
    await died(models, runtime, url, running)
    async with runtime_over(models, url, limits=limits) as runtime:
        answer = await asked(runtime)
    # One call is kept back for a last word, and the last program would have needed it.
    assert (answer.status, answer.error.kind, answer.execution.calls) == ("limit", "calls", ALL)
