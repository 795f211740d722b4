"""Sessions in actors of a Ray cluster: they go on when an actor dies, and budgets hold over all of them.

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
from dataclasses import replace
from pathlib import Path

import pytest

from rlm_wasm import (
    Answer,
    Completion,
    CompletionRequest,
    ExecutorError,
    Limits,
    Runtime,
    SessionHeld,
    SharedBudget,
    UsageError,
)
from rlm_wasm.store import open_store

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
Cluster = pytest.importorskip("ray.cluster_utils").Cluster
RayExecutor = pytest.importorskip("rlm_wasm.ray").RayExecutor

# What is sent to an actor stands in this file, which actors do not have.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.timeout(300),
]

PAIR = '(define a (syntax-e (llm-query #:instruction "one"))) (define b (syntax-e (llm-query #:instruction "two"))) (finish (string-append context a b))'
THREE = """
(define answers (map-async (lambda (n) (llm-query-async #:instruction (string-append context ":" (number->string n)))) (range 3)))
(finish (string-join (cons (syntax-e (llm-query #:instruction (string-append context ":last"))) answers) " "))
"""


class Written:
    """Answers after a while, and writes down who was sent what and who answered: a line each.

    A call whose instruction is in ``hangs`` is answered by no process but a second one; one for "die"
    ends its process.
    """

    name = "written"
    free = True

    def __init__(self, path: Path, *, sleep_s: float = 0.0, hangs: tuple[str, ...] = ()) -> None:
        self.path = path
        self.sleep_s = sleep_s
        self.hangs = hangs

    def _write(self, what: str, request: CompletionRequest) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        line = f"{what}\t{os.getpid()}\t{request.idempotency_key}\t{request.instruction}\n"
        os.write(file, line.encode())
        os.close(file)

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        first = not any(line[3] == request.instruction for line in self.lines("sent"))
        self._write("sent", request)
        if request.instruction == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if first and request.instruction in self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self.sleep_s * random.random())
        self._write("answered", request)
        return Completion(text=f"<{request.instruction}>", prompt_tokens=6, completion_tokens=4)

    def lines(self, what: str = "") -> list[list[str]]:
        """What was written: what, process, key, instruction."""
        if not self.path.exists():
            return []
        return [line.split("\t") for line in self.path.read_text().splitlines() if line.startswith(what)]

    async def until(self, what: str, instruction: str) -> int:
        """Until that was written: by which process."""
        for _ in range(3000):
            for line in self.lines(what):
                if line[3] == instruction:
                    return int(line[1])
            await asyncio.sleep(0.01)
        raise AssertionError(f"nobody {what} {instruction}")


@pytest.fixture
def model(tmp_path: Path) -> Written:
    """Answers at once, but "two" and "three" in the first process that asks."""
    return Written(tmp_path / "calls.log", hangs=("two", "three"))


async def test_a_session_lives_in_an_actor_and_is_in_the_store(
    cluster: Cluster, url: str, model: Written
) -> None:
    """Its name is all that another runtime needs; while it is open, nobody else has it."""
    async with Runtime(model, store=url, durable=True, executor=RayExecutor(actors=2)) as runtime:
        async with runtime.session(name="work", limits=Limits(calls=9)) as session:
            await session.load_context("a text")
            assert (await session.execute("(define n 41) (finish (list context (+ n 1)))")).data == [
                "a text",
                42,
            ]
            state = await session.state()  # type: ignore[misc]
            assert (state["variables"], state["limits"]["calls"]) == (["n"], 9)
            async with Runtime("echo", store=url, durable=True) as another:
                with pytest.raises(SessionHeld, match="in use: process"):
                    await another.resume("work")
        async with await runtime.resume("work") as session:
            assert session.found
            assert (await session.execute("n")).value == "41"
        with pytest.raises(UsageError, match="there is no session other"):
            await runtime.resume("other")
    async with Runtime("echo", store=url, durable=True) as another, await another.resume("work") as session:
        assert (await session.execute("(list n context)")).value == "(41 a text)"
    assert model.lines() == []


async def test_a_killed_actor_s_session_goes_on_in_another_and_nothing_is_paid_twice(
    cluster: Cluster, url: str, model: Written
) -> None:
    """What was answered is not asked again; what was in flight is sent again with the same key."""
    executor = RayExecutor(actors=2)
    runtime = Runtime(model, store=url, durable=True, executor=executor)
    async with runtime, runtime.session(name="work") as session:
        await session.load_context("c")
        running = asyncio.create_task(session.execute(PAIR))
        first = await model.until("sent", "two")
        os.kill(first, signal.SIGKILL)
        result = await running
        assert result.value == "c<one><two>"
        assert result.execution.calls == 2
        assert executor.moves >= 1
    (_, by_one, _, one), (_, by_two, key, two), (_, by_another, again, three) = model.lines("sent")
    assert (one, two, three) == ("one", "two", "two")
    assert by_one == by_two == str(first) != by_another
    assert key == again


class Asked(Written):
    """A root model as well: one program that asks "two", and one that finishes with what came of it."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        if request.purpose != "program":
            return await super().complete(request)
        number = request.data.count("## Iteration")
        self._write("sent", replace(request, instruction=f"iteration {number}"))
        program = '(define found (syntax-e (llm-query #:instruction "two")))', "(finish found)"
        return Completion(text=f"```scheme\n{program[number]}\n```", prompt_tokens=6, completion_tokens=4)


@pytest.mark.parametrize("named", [True, False])
async def test_a_question_goes_on_in_another_actor_and_nothing_is_paid_twice(
    cluster: Cluster, url: str, tmp_path: Path, named: bool
) -> None:
    """By its name, which gives its Answer again, too; and in a session of one's own."""
    model = Asked(tmp_path / "calls.log", hangs=("two",))
    executor = RayExecutor(actors=2)

    async with Runtime(model, store=url, durable=True, executor=executor) as runtime:

        async def ask() -> Answer:
            if named:
                return await runtime.ask("What is it?", "a text", name="report")
            async with runtime.session(name="work") as session:
                await session.load_context("a text")
                return await session.ask("What is it?")

        asking = asyncio.create_task(ask())
        os.kill(await model.until("sent", "two"), signal.SIGKILL)
        answer = await asking
        assert (answer.value, answer.status) == ("<two>", "finished")
        assert executor.moves >= 1
        if named:
            assert (await ask()).value == "<two>"
            with pytest.raises(UsageError, match="tells no progress"):
                await runtime.ask("What is it?", "a text", name="report", on_step=lambda _step: None)
    sent = [(line[3], line[2]) for line in model.lines("sent")]
    assert [what for what, _ in sent] == ["iteration 0", "two", "two", "iteration 1"]
    assert sent[1] == sent[2]


async def test_an_answer_that_was_lost_with_its_actor_is_given_again(
    cluster: Cluster, url: str, model: Written
) -> None:
    """An execution that was over in the store when its actor died does not run again."""
    runtime = Runtime(model, store=url, durable=True, executor=RayExecutor(actors=2))
    async with runtime, runtime.session(name="work") as session:
        first = await session.execute('(finish (syntax-e (llm-query #:instruction "one")))', request="r")
        os.kill(int(model.lines("answered")[0][1]), signal.SIGKILL)
        assert await session.execute("(finish 2)", request="r") == first
    assert len(model.lines("sent")) == 1


async def test_documents_go_on_while_actors_are_killed_at_random_moments(
    cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """Each has its result; the budget holds; a call is sent a second time only where its process was killed."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen, model = random.Random(seed), Written(tmp_path / "calls.log", sleep_s=0.2)
    documents, killed = [f"d{number}" for number in range(40)], []
    budget = SharedBudget(name="all", calls=4 * len(documents) + 400, concurrency=12, tokens=10_000_000)
    executor = RayExecutor(actors=3, at_once=6)
    over = threading.Event()

    async def kill() -> None:
        for _ in range(3):
            before = len(model.lines("answered"))
            wanted = before + chosen.randrange(5, 30)
            while len(model.lines("answered")) < wanted:
                if over.is_set():
                    return
                await asyncio.sleep(0.01)
            alive = sorted({int(line[1]) for line in model.lines()} - set(killed))
            killed.append(chosen.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)

    async with Runtime(model, store=url, durable=True, executor=executor, budget=budget) as runtime:
        killing = asyncio.create_task(kill())
        results = await runtime.map(THREE, documents, name="job")
        over.set()
        await killing
        assert killed
        for document, result in zip(documents, results, strict=True):
            expected = [f"<{document}:{part}>" for part in ("last", "0", "1", "2")]
            assert result.value == " ".join(expected), result
            assert result.execution.calls == 4
        # Asked for again, nothing runs.
        sent = model.lines("sent")
        assert [again.value for again in await runtime.map(THREE, documents, name="job")] == [
            result.value for result in results
        ]
        assert model.lines("sent") == sent
    keys = {line[3]: line[2] for line in sent}
    assert len(keys) == 4 * len(documents)
    by_key: dict[str, list[int]] = {}
    for _, process, key, instruction in sent:
        assert keys[instruction] == key
        by_key.setdefault(key, []).append(int(process))
    for processes in by_key.values():
        assert len(set(processes)) == len(processes), "no process sends a call twice"
        assert all(process in killed for process in processes[:-1]), "who sent it before was killed"
    assert sum(len(processes) - 1 for processes in by_key.values()) <= 12 * len(killed)
    store = open_store(url)
    state = store.budgets.state("all")
    await store.aclose()
    assert state is not None
    assert state.used["calls"] == 4 * len(documents)
    assert state.lent["places"] == 0
    assert state.used["tokens"] <= state.lent["tokens"] <= 10_000_000


async def test_a_node_that_is_gone_takes_no_session_along(cluster: Cluster, url: str, model: Written) -> None:
    """Ray says that it is gone; the store has what was in it."""
    node = cluster.add_node(num_cpus=1, resources={"doomed": 1})
    executor = RayExecutor(actors=7)  # one a CPU, so that one is on it
    async with Runtime(model, store=url, durable=True, executor=executor) as runtime:
        actors = await executor.actors()
        nodes = [node_id for _, node_id in await asyncio.gather(*(actor.where.remote() for actor in actors))]
        doomed = nodes.index(node.node_id)
        sessions = [runtime.session(name=f"s{number}") for number in range(7)]
        await asyncio.gather(*(session.execute("(define x 1)") for session in sessions))
        [session] = [session for session in sessions if session.place == doomed]  # type: ignore[attr-defined]
        await session.load_context("c")
        running = asyncio.create_task(session.execute(PAIR))
        await model.until("sent", "two")
        await asyncio.to_thread(cluster.remove_node, node, False)
        assert (await running).value == "c<one><two>"
    assert Counter(line[3] for line in model.lines("sent")) == {"one": 1, "two": 2}


async def test_a_budget_is_spent_exactly_by_all_actors_together(
    cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """So many calls are sent as it has, and no more are in flight than it has places."""
    model = Written(tmp_path / "calls.log", sleep_s=0.05)
    budget = SharedBudget(name="all", calls=50, concurrency=4)
    program = "(map-async (lambda (n) (llm-query-async #:instruction (string-append context (number->string n)))) (range 10))"
    async with Runtime(
        model, store=url, durable=True, executor=RayExecutor(actors=3), budget=budget
    ) as runtime:
        results = await runtime.map(program, [f"d{number}-" for number in range(8)])
        assert {result.status for result in results} == {"ok", "limit"}
        assert all("calls of the shared budget all" in str(r.error) for r in results if r.status == "limit")
        assert await runtime.store.sessions.list() == []  # type: ignore[attr-defined]
    assert len(model.lines("sent")) == 50
    running = peak = 0
    for what, *_ in model.lines():
        running += 1 if what == "sent" else -1
        peak = max(peak, running)
    assert peak <= 4


async def test_a_session_that_is_cancelled_ends_where_it_runs(
    cluster: Cluster, url: str, model: Written
) -> None:
    """By its method, and by the task that awaits it; afterwards it is as usable as any."""
    runtime = Runtime(model, store=url, durable=True, executor=RayExecutor(actors=1))
    async with runtime, runtime.session(name="work") as session:
        await session.load_context("c")
        running = asyncio.create_task(session.execute(PAIR))
        await model.until("sent", "two")
        with pytest.raises(UsageError, match="executing already"):
            await session.execute("1")
        session.cancel()
        assert (await running).status == "cancelled"
        assert (await session.execute("a")).value == "<one>"
        again = asyncio.create_task(session.execute('(llm-query #:instruction "three")'))
        await model.until("sent", "three")
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again
        assert (await session.execute("a")).value == "<one>"


HANGS = Written(Path("nowhere"))
HANGS.lock = threading.Lock()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"an executor runs sessions that live in a store"),
        ({"store": "sqlite:///:memory:", "durable": True}, "cannot share a store in memory"),
        ({"store": "sqlite://", "durable": True}, "cannot share a store in memory"),
        ({"provider": HANGS}, "the provider Written cannot be sent to another process"),
        (
            {"host_functions": {"f": threading.Lock().__enter__}},
            "the host function f cannot be sent to another process",
        ),
        ({"log": "run.jsonl"}, "the run log goes into a store"),
        ({"executor": "slurm"}, "executor must be one of ray, got 'slurm'"),
        ({"executor": 7}, "must be .ray. or an Executor, got int"),
    ],
    ids=[
        "no store",
        "memory",
        "memory by default",
        "provider",
        "host function",
        "log",
        "another",
        "a number",
    ],
)
def test_what_cannot_be_shared_is_refused_when_the_runtime_is_made(
    url: str, options: dict[str, object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is begun or paid."""
    monkeypatch.chdir(tmp_path)  # a run log is opened first
    given: dict[str, object] = {"provider": "echo", "executor": "ray"}
    if options and "store" not in options:
        given |= {"store": url, "durable": True}
    with pytest.raises(UsageError, match=says):
        Runtime(**{**given, **options})  # type: ignore[arg-type]


async def test_what_a_session_in_an_actor_has_not_says_where_it_is(cluster: Cluster, url: str) -> None:
    """And an executor has one Runtime, a name one open session."""
    executor = RayExecutor(actors=1)
    async with Runtime("echo", store=url, durable=True, executor=executor) as runtime:
        session = runtime.session(name="s")
        with pytest.raises(AttributeError, match=r"a session in a Ray actor has no fork: .*resume\('s'\)"):
            session.fork()
        with pytest.raises(UsageError, match="open already"):
            runtime.session(name="s")
        with pytest.raises(UsageError, match="tells no progress"):
            await session.execute("1", on_output=lambda *_: None)
        with pytest.raises(UsageError, match="without an executor"):
            await runtime.restore(b"")
        with pytest.raises(UsageError, match="what the session is granted cannot be sent"):
            runtime.session(name="t", provider=HANGS)
        with pytest.raises(UsageError, match="belongs to one Runtime"):
            Runtime("echo", store=url, durable=True, executor=executor)
        await session.execute("1")
        with pytest.raises(UsageError, match="before the executor opens its first session"):
            runtime.host_function("late")(len)


async def test_a_cluster_without_room_is_told(
    cluster: Cluster, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it has, and which option to change."""
    monkeypatch.setattr("rlm_wasm.ray.START_S", 1.0)
    async with Runtime("echo", store=url, durable=True, executor=RayExecutor(actors=1, cpus=500)) as runtime:
        with pytest.raises(ExecutorError, match=r"no room for 1 actors of 500 CPUs each \(it has \d+\)"):
            await runtime.run("1")


async def test_a_session_that_kills_each_of_its_actors_is_given_up(
    cluster: Cluster, url: str, model: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of trying for ever; what it had done is in the store."""
    monkeypatch.setattr("rlm_wasm.ray.MAX_MOVES", 2)
    async with Runtime(model, store=url, durable=True, executor=RayExecutor(actors=2)) as runtime:
        session = runtime.session(name="deadly")
        with pytest.raises(ExecutorError, match="session deadly: 2 actors died over it"):
            await session.execute('(define x 1) (llm-query #:instruction "die")')
    async with Runtime("echo", store=url, durable=True) as runtime, await runtime.resume("deadly") as session:
        assert session.suspended
    assert {line[2] for line in model.lines("sent")} == {model.lines("sent")[0][2]}
