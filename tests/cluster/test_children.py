"""Children of one program's recursive calls, spread over the actors of a Ray cluster.

Runs where the extra ``ray`` is installed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from rlm_wasm import ChildGrants, Completion, CompletionRequest, Limits, Runtime, SharedBudget
from rlm_wasm.store import open_store
from rlm_wasm.store.database import DatabaseStore
from rlm_wasm.store.leases import Holder
from rlm_wasm.store.tables import sessions

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
Cluster = pytest.importorskip("ray.cluster_utils").Cluster
RayExecutor = pytest.importorskip("rlm_wasm.ray").RayExecutor

# What is sent to an actor stands in this file, which actors do not have.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.timeout(300),
]

CHILD = """```scheme
(define (work n) (if (< n 2) n (+ (work (- n 1)) (work (- n 2)))))
(work 15)
(define words (map-async (lambda (w) (llm-query-async #:instruction "Say" #:data w)) (string-split context " ")))
(finish (string-join words "+"))
```"""
ONE_BY_ONE = """```scheme
(define (say w) (syntax-e (llm-query #:instruction "Say" #:data w)))
(finish (string-join (map say (string-split context " ")) "+"))
```"""
PROGRAM = """
(define (read d) (llm-query-async #:instruction "Read" #:data d #:recursive #t))
(finish (string-join (map-async read (map (lambda (n) (format "a~a b~a c~a" n n n)) (range {documents}))) ";"))
"""


class Written:
    """Writes programs, answers what those ask, after a while; and writes down what it did, a line each.

    The first call about ``hangs`` is answered when a file beside what it writes says so.
    """

    name = "written"
    free = True

    def __init__(self, path: Path, *, sleep_s: float = 0.0, hangs: str = "", child: str = CHILD) -> None:
        self.path = path
        self.sleep_s = sleep_s
        self.hangs = hangs
        self.child = child

    def _write(self, what: str, request: CompletionRequest) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{what}\t{os.getpid()}\t{request.idempotency_key}\t{request.purpose}\n".encode())
        os.close(file)

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        first = not any(line[2] == request.idempotency_key for line in self.lines("sent"))
        self._write("sent", request)
        while (
            self.hangs and request.data == self.hangs and first and not self.path.with_suffix(".go").exists()
        ):
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.sleep_s * random.random())
        self._write("answered", request)
        text = self.child if request.purpose == "program" else f"<{request.data}>"
        return Completion(text=text, prompt_tokens=6, completion_tokens=4)

    def lines(self, what: str = "") -> list[list[str]]:
        """What was written: what, process, key, purpose."""
        if not self.path.exists():
            return []
        return [line.split("\t") for line in self.path.read_text().splitlines() if line.startswith(what)]

    async def until(self, sent: int) -> None:
        """Until so many calls were sent."""
        for _ in range(6000):
            if len(self.lines("sent")) >= sent:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"only {len(self.lines('sent'))} calls were sent")


def expected(documents: int) -> str:
    """What a run in one process finishes with."""
    return ";".join("+".join(f"<{letter}{number}>" for letter in "abc") for number in range(documents))


async def test_one_program_s_documents_are_read_by_all_actors(
    cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """The result, calls and tokens are those of a run in one process; nothing of the children is left."""
    local = Written(tmp_path / "local.log")
    async with Runtime(local) as runtime:
        here = await runtime.run(PROGRAM.format(documents=8))
    model = Written(tmp_path / "calls.log", sleep_s=0.05)
    async with Runtime(model, store=url, durable=True, executor=RayExecutor(actors=3)) as runtime:
        async with runtime.session(name="work") as session:
            there = await session.execute(PROGRAM.format(documents=8))
            log = await session.scope_log()  # type: ignore[misc]
        assert [kept.name for kept in await runtime.store.sessions.list()] == ["work"]  # type: ignore[attr-defined]
    assert (there.status, there.value) == (here.status, here.value) == ("finished", expected(8))
    assert there.execution.calls == here.execution.calls == len(model.lines("sent")) == 32
    assert there.execution.tokens == here.execution.tokens
    assert len({line[1] for line in model.lines()}) == 3
    assert sorted(entry["call_id"] for entry in log if "call_id" in entry) == list(range(1, 33))


async def test_actors_are_killed_at_random_moments_and_no_answer_is_paid_twice(
    cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """Those with children, and the one with the parent: a call is sent again only where its process died."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen, model = random.Random(seed), Written(tmp_path / "calls.log", sleep_s=0.2)
    documents, killed = 16, list[int]()
    budget = SharedBudget(name="all", calls=4 * documents + 400, concurrency=12, tokens=10_000_000)
    over = threading.Event()

    async def kill() -> None:
        for _ in range(3):
            wanted = len(model.lines("answered")) + chosen.randrange(3, 12)
            while len(model.lines("answered")) < wanted:
                if over.is_set():
                    return
                await asyncio.sleep(0.01)
            alive = sorted({int(line[1]) for line in model.lines()} - set(killed))
            killed.append(chosen.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)

    limits = Limits(concurrency=10)
    executor = RayExecutor(actors=3)
    async with Runtime(
        model, store=url, durable=True, executor=executor, budget=budget, limits=limits
    ) as runtime:
        killing = asyncio.create_task(kill())
        async with runtime.session(name="work") as session:
            result = await session.execute(PROGRAM.format(documents=documents))
        over.set()
        await killing
        assert [kept.name for kept in await runtime.store.sessions.list()] == ["work"]  # type: ignore[attr-defined]
    assert (result.status, result.value) == ("finished", expected(documents)), result.error
    assert killed
    sent, answered = (Counter(line[2] for line in model.lines(what)) for what in ("sent", "answered"))
    assert len(sent) == len(answered) == 4 * documents
    # An answer may have come in the moment before its process died, and not have reached the store.
    lost = {line[2] for line in model.lines("answered") if int(line[1]) in killed}
    assert all(times == 1 or key in lost for key, times in answered.items())
    by_the_killed = Counter(line[2] for line in model.lines("sent") if int(line[1]) in killed)
    assert all(times == 1 or by_the_killed[key] >= times - 1 for key, times in sent.items())
    assert sum(answered.values()) - len(answered) <= len(killed)
    assert result.execution.calls == 4 * documents


@pytest.mark.parametrize("who", ["parent", "child"])
async def test_parent_and_child_go_on_elsewhere_each_by_itself(
    cluster: Cluster, url: str, tmp_path: Path, who: str
) -> None:
    """A parent that comes back finds its child at work where it was; a child that does finds its answers."""
    model = Written(tmp_path / "calls.log", hangs="b0", child=ONE_BY_ONE)
    executor = RayExecutor(actors=3)
    runtime = Runtime(model, store=url, durable=True, executor=executor)
    async with runtime, runtime.session(name="work") as session:
        running = asyncio.create_task(session.execute(PROGRAM.format(documents=1)))
        await model.until(sent=3)
        [at_work] = {int(line[1]) for line in model.lines()}
        store = await asyncio.to_thread(open_store, url)
        held = await store.run(lambda: _holders(store))
        assert held.pop("work") != at_work
        assert list(held.values()) == [at_work]
        os.kill(at_work if who == "child" else (await _pid_of(store, "work")), signal.SIGKILL)
        if who == "parent":
            while not executor.moves:
                await asyncio.sleep(0.01)
            model.path.with_suffix(".go").touch()
        result = await running
        await store.aclose()
    assert result.value == expected(1), result.error
    sent, answered = (Counter(line[2] for line in model.lines(what)) for what in ("sent", "answered"))
    assert set(answered.values()) == {1}
    assert sorted(sent.values()) == ([1, 1, 1, 1] if who == "parent" else [1, 1, 1, 2])
    assert result.execution.calls == 4


def _holders(store: DatabaseStore) -> dict[str, int]:
    """Which process has each session."""
    rows = store.rows(sa.select(sessions.c.name, sessions.c.holder))
    known = {name: Holder.parse(holder or "") for name, holder in rows}
    return {name: holder.process for name, holder in known.items() if holder is not None}


async def _pid_of(store: DatabaseStore, name: str) -> int:
    return (await store.run(lambda: _holders(store)))[name]


async def test_a_child_that_is_wanted_no_longer_ends_in_its_actor(
    cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """What it sent is counted; grants that a session was opened with hold for its children, too."""
    child = "```scheme\n(finish (number->string (add-up 40 2)))\n```"
    model = Written(tmp_path / "calls.log", hangs="b0")
    runtime = Runtime(
        model,
        store=url,
        durable=True,
        executor=RayExecutor(actors=2),
        child_grants=ChildGrants(host_functions=("add-up",)),
    )
    async with runtime:
        async with runtime.session(name="work") as session:
            running = asyncio.create_task(session.execute(PROGRAM.format(documents=1)))
            await model.until(sent=4)
            session.cancel()
            result = await running
            assert (result.status, result.execution.calls) == ("cancelled", 4)
            assert result.execution.completion_tokens == 4 * len(model.lines("answered"))
            assert result.execution.prompt_tokens > 6 * len(model.lines("answered"))
        assert [kept.name for kept in await runtime.store.sessions.list()] == ["work"]  # type: ignore[attr-defined]
        own = Written(tmp_path / "own.log", child=child)
        options = {"provider": own, "host_functions": {"add-up": _add_up}}
        async with runtime.session(name="own", **options) as session:  # type: ignore[arg-type]
            result = await session.execute(PROGRAM.format(documents=4))
        assert result.value == "42;42;42;42", result.error
    assert len({line[1] for line in own.lines()}) == 2


def _add_up(one: int, two: int) -> int:
    return one + two
