"""Sessions below a session stand in its snapshots: what they were answered is not paid again."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from rlm_wasm import (
    Completion,
    CompletionRequest,
    Limits,
    Runtime,
    Session,
    Snapshot,
    SnapshotCorrupt,
    turns,
)
from rlm_wasm.session_parts.state import ChildState, state_of

PROGRAMS = {
    "first": '(define a (syntax-e (llm-query #:instruction "in a"))) (displayln a) "a is there"',
    "second": '(define b (syntax-e (llm-query #:instruction "in b"))) (finish (string-append a b))',
    "misspelt": "(llm-qery 1)",
    "fails": '(define b (syntax-e (llm-query #:instruction "in b"))) (car b)',
    "deeper": '(finish (syntax-e (llm-query #:instruction "Work" #:data "one" #:recursive 1)))',
}

ONE = """
(define x (syntax-e (llm-query #:instruction "out")))
(define y (syntax-e (llm-query #:instruction "Work" #:data "DATA" #:recursive 2)))
(finish (string-append x y (syntax-e (llm-query #:instruction "last"))))
"""
SEVERAL = """
(finish (string-join (map syntax-e (await-all-syntax
  (map (lambda (n) (llm-query-async #:instruction "Work" #:data (format "one ~a" n) #:recursive 1)) (range 3)))) ","))
"""
FORKS = """
(define (both n) (string-append (syntax-e (llm-query #:instruction (format "f~a" n)))
                                (syntax-e (llm-query #:instruction (format "g~a" n)))))
(define x (syntax-e (llm-query #:instruction "out")))
(finish (cons x (fork-map both (range 4))))
"""
FORKS_WITH_CHILDREN = """
(define (work n) (syntax-e (llm-query #:instruction "Work" #:data (format "one ~a" n) #:recursive 1)))
(finish (fork-map work (range 2)))
"""


class Model:
    """Answers by what is asked; ``whenever`` is called before each answer is given."""

    def __init__(self, whenever: Callable[[], Any] | None = None) -> None:
        self.whenever = whenever
        self.answered: list[str] = []
        self._one = asyncio.Lock()

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        async with self._one:  # no other is answered in the meantime
            if self.whenever is not None:
                await self.whenever()
            assert request.idempotency_key is not None
            self.answered.append(request.idempotency_key)
        if request.purpose != "program":
            return Completion(text=f"<{request.instruction}>", prompt_tokens=1, completion_tokens=1)
        return Completion(
            text=f"```scheme\n{PROGRAMS[self._program(request.data)]}\n```",
            prompt_tokens=1,
            completion_tokens=1,
        )

    @staticmethod
    def _program(seen: str) -> str:
        """The next one, by what the model is shown: the data says which way it goes."""
        if "deeper" in seen:
            return "deeper"
        if "a is there" not in seen:
            return "first"
        if "slips" in seen and "llm-qery" not in seen:
            return "misspelt"
        if "fails" in seen and "car" not in seen:
            return "fails"
        return "second"


async def at_every_suspension(program: str, **options: Any) -> list[tuple[bytes, list[str]]]:
    """A snapshot before each answer of a run, as bytes, with what had been answered until then."""
    taken: list[tuple[bytes, list[str]]] = []

    async def take() -> None:
        answered = list(model.answered)
        taken.append(((await session.snapshot()).dump(), answered))

    model = Model(take)
    async with Runtime(model, python="off", **options) as runtime:
        session = runtime.session()
        result = await session.execute(program)
        assert result.status == "finished", result.error
        taken.append((result.value.encode(), list(model.answered)))
    return taken


async def goes_on(data: bytes, model: Model, **options: Any) -> tuple[str, int, int]:
    """The value, calls and tokens of the restored session."""
    async with Runtime(model, python="off", **options) as runtime:
        session = await runtime.restore(Snapshot.load(data, key=options.get("snapshot_key")))
        result = await session.resume()
        assert result.status == "finished", result.error
        return result.value, result.execution.calls, result.execution.tokens


@pytest.mark.parametrize(
    "program",
    [
        ONE,
        ONE.replace("DATA", "slips"),
        ONE.replace("DATA", "fails"),
        ONE.replace("DATA", "deeper"),
        SEVERAL,
        FORKS,
        FORKS_WITH_CHILDREN,
    ],
    ids=["one", "a program that is refused", "a program that fails", "deeper", "several", "forks", "both"],
)
async def test_what_a_child_was_answered_is_not_paid_again(program: str) -> None:
    """Whenever the snapshot was taken; the result is the same, and so is what was spent."""
    *taken, (value, answered) = await at_every_suspension(program)
    assert len(taken) >= 3
    for data, before in taken:
        model = Model()
        found, calls, tokens = await goes_on(data, model)
        assert found == value.decode()
        assert not set(model.answered) & set(before)
        # Not the keys themselves: which call has which number is a matter of who was quicker.
        assert len(before) + len(model.answered) == len(answered)
        assert calls == len(answered)
        assert tokens == 2 * len(answered)


async def test_an_answer_is_taken_up_however_little_of_a_turn_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Work that others do in turns does not stand between an answer and the snapshots that it belongs in."""
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    for program in (SEVERAL, FORKS_WITH_CHILDREN):
        await test_what_a_child_was_answered_is_not_paid_again(program)


async def test_a_restored_session_keeps_its_children_until_they_are_taken_up() -> None:
    """A snapshot of what was restored and did not go on yet is as good as the first one."""
    *taken, (value, answered) = await at_every_suspension(SEVERAL)
    data, before = taken[-1]
    async with Runtime(Model(), python="off") as runtime:
        again = (await (await runtime.restore(data)).snapshot()).dump()
    model = Model()
    assert (await goes_on(again, model))[0] == value.decode()
    assert sorted(before + model.answered) == sorted(answered)


async def test_children_are_signed_with_the_session() -> None:
    """By the same key."""
    key = b"sixteen bytes or more"
    *taken, (value, _) = await at_every_suspension(ONE, snapshot_key=key)
    data, _ = taken[3]
    assert (await goes_on(data, Model(), snapshot_key=key))[0] == value.decode()
    with pytest.raises(SnapshotCorrupt, match="signed by another key"):
        await goes_on(data, Model(), snapshot_key=b"quite another key")


async def test_a_fork_asks_its_children_anew() -> None:
    """It is a session of its own, whose calls are its own."""
    forks: list[Session] = []

    async def fork() -> None:
        if len(model.answered) == 3 and not forks:
            forks.append(await session.fork())

    model = Model(fork)
    async with Runtime(model, python="off") as runtime:
        session = runtime.session()
        first = await session.execute(ONE)
        second = await forks[0].resume()
        assert first.value == second.value
        assert len(model.answered) == len(set(model.answered))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda child: dataclasses.replace(child, name="99.1"), "serves no request"),
        (lambda child: dataclasses.replace(child, name="../x"), "cannot be"),
        (lambda child: dataclasses.replace(child, name=f"{child.name}/7.1"), "serves no request"),
        (
            lambda child: dataclasses.replace(child, name=f"f{child.name.split('.')[0]}.0"),
            "serves no request",
        ),
    ],
)
async def test_a_child_that_cannot_be_is_refused(
    change: Callable[[ChildState], ChildState], says: str
) -> None:
    """Before anything of it is used."""
    *taken, _ = await at_every_suspension(ONE)
    loaded = Snapshot.load(taken[3][0])
    state = state_of(loaded)
    [child] = state.children
    forged = dataclasses.replace(
        loaded, body=dataclasses.replace(state, children=(change(child),)), trusted=False
    ).dump()
    async with Runtime(Model(), python="off") as runtime:
        with pytest.raises(SnapshotCorrupt, match=says):
            await runtime.restore(forged)
        assert runtime.sessions == []


async def test_two_children_of_one_call_are_refused() -> None:
    """There is one."""
    *taken, _ = await at_every_suspension(ONE)
    loaded = Snapshot.load(taken[3][0])
    state = state_of(loaded)
    forged = dataclasses.replace(
        loaded, body=dataclasses.replace(state, children=state.children * 2), trusted=False
    ).dump()
    async with Runtime(Model(), python="off") as runtime:
        with pytest.raises(SnapshotCorrupt, match="cannot be"):
            await runtime.restore(forged)


async def test_children_whose_memory_the_limits_do_not_allow_are_refused() -> None:
    """Together."""
    *taken, _ = await at_every_suspension(SEVERAL)
    loaded = Snapshot.load(taken[-1][0])
    state = state_of(loaded)
    large = tuple(
        dataclasses.replace(child, memory=dataclasses.replace(child.memory, size=1 << 31))
        for child in state.children
    )
    forged = dataclasses.replace(loaded, body=dataclasses.replace(state, children=large)).dump()
    async with Runtime(Model(), python="off", limits=Limits(memory_bytes=64 << 20)) as runtime:
        with pytest.raises(SnapshotCorrupt, match="memory"):
            await runtime.restore(forged)


async def test_a_session_that_ends_while_its_children_are_captured_says_so() -> None:
    """By the word for that, and by no other."""
    model = Model()
    waits = asyncio.Event()

    async def wait() -> None:
        if len(model.answered) == 3:
            waits.set()
            await asyncio.Event().wait()

    model.whenever = wait
    async with Runtime(model, python="off") as runtime:
        session = runtime.session()
        running = asyncio.create_task(session.execute(ONE))
        await waits.wait()
        assert (await session.snapshot()).suspended
        session.cancel()
        assert (await running).status == "cancelled"
        assert state_of(await session.snapshot()).children == ()


async def reset(session: Session) -> None:
    """Forget everything."""
    await session.reset()


async def abandon(session: Session) -> None:
    """Give the execution up."""
    session.abandon()


async def cancel(session: Session) -> None:
    """Go on with it, and end it at once."""
    running = asyncio.create_task(session.resume())
    await asyncio.sleep(0)
    session.cancel()
    assert (await running).status == "cancelled"


async def too_late(session: Session) -> None:
    """Go on with it, under a limit that fires before any child is taken up."""
    assert (await session.resume(timeout_s=1e-9)).status == "limit"


OTHER_FORKS = """
(finish (string-join (fork-map (lambda (n) (syntax-e (llm-query #:instruction (format "new ~a" n)))) (range 4)) " "))
"""


@pytest.mark.parametrize("program", [FORKS, SEVERAL], ids=["forks", "children"])
@pytest.mark.parametrize("end", [reset, abandon, cancel, too_late])
async def test_children_of_an_execution_that_is_over_are_nobody_s(
    program: str, end: Callable[[Session], Any]
) -> None:
    """They are in no further snapshot, and no later request of the same number takes them for its own."""
    *taken, _ = await at_every_suspension(program)
    async with Runtime(Model(), python="off") as runtime:
        session = await runtime.restore(Snapshot.load(taken[-1][0]))
        assert state_of(taken_again := await session.snapshot()).children
        assert taken_again.suspended
        await end(session)
        async with await runtime.restore((await session.snapshot()).dump()) as again:
            assert not again.suspended
            for each in (session, again):
                assert (await each.execute(OTHER_FORKS)).value == "<new 0> <new 1> <new 2> <new 3>"


@pytest.mark.parametrize("program", [FORKS, SEVERAL, FORKS_WITH_CHILDREN], ids=["forks", "children", "both"])
async def test_children_stand_in_a_snapshot_while_they_are_taken_up(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, each in a turn of its own."""
    *taken, (value, answered) = await at_every_suspension(program)
    data, before = taken[-1]
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    again: list[tuple[Snapshot, list[str]]] = []
    first = Model()
    async with Runtime(first, python="off") as runtime:
        session = await runtime.restore(Snapshot.load(data))
        running = asyncio.create_task(session.resume())
        while not running.done():
            known = list(first.answered)
            snapshot = await session.snapshot()
            if snapshot.suspended:
                again.append((snapshot, known))
    assert again
    for snapshot, known in again:
        model = Model()
        async with Runtime(model, python="off") as runtime:
            result = await (await runtime.restore(snapshot)).resume()
        assert result.value == value.decode()
        assert not set(model.answered) & {*before, *known}
        assert result.execution.calls == len(answered)


@pytest.mark.parametrize(
    "work",
    [
        '(fork-map (lambda (n) (syntax-e (llm-query #:instruction "left"))) (range 4))',
        '(llm-query #:instruction "Work" #:data "left" #:recursive 1)',
    ],
    ids=["forks", "a child"],
)
async def test_sessions_whose_request_nobody_wants_any_more_are_in_no_snapshot(work: str) -> None:
    """They end, but not in the step in which the program gives them up."""
    seen: list[tuple[Any, ...]] = []
    arrived, ended = asyncio.Event(), asyncio.Event()

    class Lingering:
        """Ends a call that is given up when the test says so."""

        async def complete(self, request: CompletionRequest) -> Completion:
            if "left" not in (request.instruction, request.data) and request.purpose != "program":
                await arrived.wait()
                return Completion(text=request.instruction)
            try:
                arrived.set()
                await asyncio.Event().wait()
            finally:
                family = session._children
                seen.append((family.open(), family.waiting(), family.forked()))
                await ended.wait()
            raise AssertionError

    program = f"""
        (define h (spawn (lambda () {work})))
        (llm-query #:instruction "first")
        (cancel h)
        (finish (syntax-e (llm-query #:instruction "second")))
    """
    async with Runtime(Lingering(), python="off", limits=Limits(concurrency=2)) as runtime:
        session = runtime.session()
        running = asyncio.create_task(session.execute(program))
        while not seen:
            await asyncio.sleep(0)
        snapshot = await session.snapshot()
        assert seen == [([], [], ())] * len(seen)
        async with await runtime.restore(snapshot.dump()) as again:
            ended.set()
            if again.suspended:
                assert (await again.resume()).value == "second"
        assert (await running).value == "second"
