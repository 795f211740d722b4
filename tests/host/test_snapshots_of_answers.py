"""What was answered stands in every snapshot that is taken after that, whatever the host does with it first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, Snapshot, turns

LARGE = "é" * 300_000
LARGER = "a" * 1_200_000
LIMITS = Limits(tokens=100_000_000)

CHILD = {
    "first": """
    (define a (syntax-e (llm-query #:instruction "in a")))
    (define memory (make-vector 300000 1.5))
    (displayln "a is there")
    """,
    "second": """
    (define b (syntax-e (llm-query #:instruction "in b")))
    (finish (string-append a b (make-string 400000 #\\é)))
    """,
}

MANY = """
(define texts (map-async (lambda (n) (llm-query-async #:instruction (format "INSTRUCTION ~a" n))) (range 3)))
(finish (map (lambda (text) (list (string-length text) (string-ref text 5))) texts))
"""
CHILDREN = """
(define (work n) (llm-query-async #:instruction "Work" #:data (format "number ~a" n) #:recursive 1))
(finish (map string-length (map syntax-e (await-all-syntax (map work (range 2))))))
"""
FORKS = """
(define (work n)
  (define memory (make-vector 300000 1.5))
  (string-append (syntax-e (llm-query #:instruction (format "f~a" n))) (make-string 500000 #\\é)))
(finish (map string-length (fork-map work (range 3))))
"""
NESTED = """
(define (leaf n) (string-append (syntax-e (llm-query #:instruction (format "f~a" n))) (make-string 200000 #\\é)))
(define (branch n) (fork-map leaf (list n (+ n 1))))
(finish (map string-length (apply append (fork-map branch '(0 10)))))
"""
HOST = "(finish (map (lambda (n) (apply + (numbers n))) (range 3)))"
TEXTS = "(finish (map (lambda (n) (string-length (text n))) (range 3)))"

PROGRAMS = {
    "large answers": MANY.replace("INSTRUCTION", "large"),
    "larger answers": MANY.replace("INSTRUCTION", "larger"),
    "JSON": MANY.replace("INSTRUCTION ~a", "large json ~a").replace('n)))', 'n) #:json #t))', 1),
    "children": CHILDREN,
    "forks": FORKS,
    "forks of forks": NESTED,
    "lists of a host function": HOST,
    "texts of a host function": TEXTS,
}  # fmt: skip


class World:
    """A model and two host functions, and what they have answered."""

    def __init__(self) -> None:
        self.answered: list[str | None] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        await asyncio.sleep(0)
        asked = request.instruction
        if request.purpose == "program":
            text = f"```scheme\n{CHILD['second' if 'a is there' in request.data else 'first']}\n```"
        elif "json" in asked:
            text = f'["{LARGE}"]'
        elif "large" in asked:
            text = asked + (LARGER if "larger" in asked else LARGE)
        else:
            text = f"<{asked}>"
        self.answered.append(request.idempotency_key)
        return Completion(text=text, prompt_tokens=1, completion_tokens=1)

    @property
    def host_functions(self) -> dict[str, Callable[[int], Awaitable[Any]]]:
        """Granted to the programs."""

        async def numbers(n: int) -> list[int]:
            self.answered.append(f"numbers {n}")
            return list(range(n, 30_000))

        async def text(n: int) -> str:
            self.answered.append(f"text {n}")
            return "é" * 1_100_000

        return {"numbers": numbers, "text": text}


@pytest.mark.parametrize("program", list(PROGRAMS.values()), ids=list(PROGRAMS))
async def test_what_was_answered_is_in_every_snapshot_after_that(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the answer is looked through or encoded, and while the child that came to it is closed.

    Turns are as short as can be, so that all of that takes many.
    """
    async with Runtime(World(), python="off", host_functions=World().host_functions) as runtime:
        warm = runtime.session()  # what a process does first loads modules, for longer than the program takes
        await warm.execute(program)
        await warm.snapshot()
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    world = World()
    taken: list[tuple[Snapshot, list[str | None]]] = []
    async with Runtime(world, python="off", limits=LIMITS, host_functions=world.host_functions) as runtime:
        session = runtime.session()
        running = asyncio.create_task(session.execute(program))
        await asyncio.sleep(0)
        while not running.done():
            before = list(world.answered)
            if [then for _, then in taken].count(before) < 6:
                snapshot = await session.snapshot()
                if snapshot.suspended:
                    taken.append((snapshot, before))
            await asyncio.sleep(0)
        result = await running
    assert result.status == "finished", result.error
    assert taken
    for snapshot, before in taken:
        again = World()
        async with Runtime(
            again, python="off", limits=LIMITS, host_functions=again.host_functions
        ) as runtime:
            restored = await runtime.restore(snapshot, resend=("llm", "host"))
            found = await restored.resume()
        assert (found.status, found.value) == ("finished", result.value)
        assert not set(again.answered) & set(before)
        assert (found.execution.calls, found.execution.tokens) == (
            result.execution.calls,
            result.execution.tokens,
        )


async def test_an_answer_that_nobody_waits_for_any_more_is_counted_as_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had come, and was paid: not only its prompt was used."""
    monkeypatch.setattr(turns, "TURN_S", 0.0)

    class Model:
        answered = False

        async def complete(self, request: CompletionRequest) -> Completion:
            self.answered = True
            return Completion(text=LARGE * 4, prompt_tokens=5, completion_tokens=70_000)

    model = Model()
    async with Runtime(model, python="off", limits=LIMITS) as runtime, runtime.session() as session:
        running = asyncio.create_task(session.execute('(llm-query #:instruction "a")'))
        while not model.answered:
            await asyncio.sleep(0)
        session.cancel()
        result = await running
        assert result.status == "cancelled"
        assert result.execution.tokens == 70_005


PYTHON = """
(define (work i)
  (define k 0)
  (for-each (lambda (j) (py-exec "n += 1") (set! k (+ k 1))) (range 5))
  (list k (py-eval "n")))
(finish (fork-map work (range 2)))
"""


async def test_variables_of_python_are_those_of_the_moment_that_the_snapshot_is_of() -> None:
    """In all sessions of the family, however busy they are meanwhile."""
    async with Runtime("echo") as runtime:
        session = runtime.session()
        await session.execute('(py-exec "n = 0")')
        running = asyncio.create_task(session.execute(PYTHON))
        await asyncio.sleep(0)
        taken = []
        while not running.done():
            taken.append(await session.snapshot())
        assert (await running).value == "((5 5) (5 5))"
        suspended = [snapshot for snapshot in taken if snapshot.suspended]
        for snapshot in suspended[:: len(suspended) // 20 + 1]:
            async with await runtime.restore(snapshot, resend=("llm", "host", "python")) as restored:
                assert (await restored.resume()).value == "((5 5) (5 5))"


async def test_what_was_begun_is_not_begun_again_by_a_snapshot_of_a_snapshot() -> None:
    """One that was restored and did not go on yet says of its requests what the first one said."""
    begun: list[int] = []
    reached = asyncio.Event()

    async def pay(amount: int) -> int:
        begun.append(amount)
        reached.set()
        await asyncio.Event().wait()
        return amount

    async with Runtime("echo", python="off", host_functions={"pay": pay}) as runtime:
        session = runtime.session()
        running = asyncio.create_task(session.execute("(finish (pay 1))"))
        await reached.wait()
        snapshot = await session.snapshot()
        session.cancel()
        await running
        again = await (await runtime.restore(snapshot)).snapshot()
        result = await (await runtime.restore(again)).resume()
        assert result.error is not None
        assert "is not called a second time" in result.error.message
        assert begun == [1]
