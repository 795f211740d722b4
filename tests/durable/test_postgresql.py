"""Durable sessions in PostgreSQL: several that want one session, a lost connection, a restart of the server.

Runs where RLM_WASM_TEST_POSTGRESQL is a server's URL (.ci/postgresql starts one); the restart where
RLM_WASM_TEST_POSTGRESQL_RESTART is the command for that.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import uuid

import pytest
import sqlalchemy as sa
from durable.elsewhere import Others

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, SharedBudget
from rlm_wasm.errors import LeaseLost, SessionHeld
from rlm_wasm.session import Session
from rlm_wasm.store import open_store
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

URL = os.environ.get("RLM_WASM_TEST_POSTGRESQL", "")
RESTART = os.environ.get("RLM_WASM_TEST_POSTGRESQL_RESTART", "")
pytestmark = pytest.mark.skipif(not URL, reason="RLM_WASM_TEST_POSTGRESQL names no server")

ASK = (
    '(define a (syntax-e (llm-query #:instruction "one"))) (define b (syntax-e (llm-query #:instruction "two")))'
    " (finish (string-append a b))"
)


@pytest.fixture
def name() -> str:
    """One that no other test uses."""
    return uuid.uuid4().hex


def administer(statement: str) -> None:
    """By a connection of its own."""
    engine = sa.create_engine(URL, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


async def test_of_many_that_want_a_session_one_has_it(name: str) -> None:
    """The others are told who; when it is free, the next one goes on with all that was done."""
    runtimes = [Runtime("echo", store=URL, durable=True) for _ in range(8)]
    async with runtimes[0].session(name=name) as session:
        await session.execute("(define n 0)")
    for round_ in range(3):
        wanted = await asyncio.gather(*(runtime.resume(name) for runtime in runtimes), return_exceptions=True)
        [winner] = [session for session in wanted if isinstance(session, Session)]
        refused = [error for error in wanted if error is not winner]
        assert all(isinstance(error, SessionHeld) for error in refused), refused
        assert (await winner.execute("(set! n (+ n 1)) n")).value == str(round_ + 1)
        await winner.aclose()
    for runtime in runtimes:
        await runtime.aclose()


async def test_a_lease_that_has_run_out_by_the_server_s_clock_is_taken_over(name: str) -> None:
    """Whatever the clocks of the machines say."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=URL, durable=True) as one, Runtime("echo", store=URL, durable=True) as two:
        running = asyncio.create_task(one.session(name=name).execute(ASK))
        await gate.arrived(1)
        with pytest.raises(SessionHeld):
            await two.resume(name)
        administer(f"UPDATE rlm_sessions SET held_until = 0 WHERE name = '{name}'")
        async with await two.resume(name) as taken:
            gate.release()
            with pytest.raises(LeaseLost, match="taken over by process"):
                await running
            assert taken.suspended


@pytest.mark.parametrize("how", ["connections lost", *(["server restarted"] if RESTART else [])])
async def test_a_run_goes_on_after(name: str, how: str) -> None:
    """What was answered before and after is kept: another process pays for none of it."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=URL, durable=True) as runtime:
        session = runtime.session(name=name)
        running = asyncio.create_task(session.execute(ASK))
        await gate.arrived(1)
        if how == "server restarted":
            subprocess.run(shlex.split(RESTART), check=True, capture_output=True)
        else:
            administer(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        gate.release()
        await gate.arrived(1)
        assert session.kept
        await session.suspend()
        await running
    again = GatedProvider(bracketed)
    async with Runtime(again, store=URL, durable=True) as runtime:
        session = await runtime.resume(name)
        running = asyncio.create_task(session.resume())
        await again.arrived(1)
        again.release()
        assert (await running).value == "[one][two]"
        assert [request.instruction for request in again.requests] == ["two"]
        await session.aclose()
        assert await runtime.store.sessions.delete(name)  # type: ignore[attr-defined]


async def test_a_budget_that_many_processes_share_is_never_handed_out_twice(name: str) -> None:
    """Each exchange has the budget's row alone, whatever others do at the same moment."""
    budget = SharedBudget(name=name, calls=40, concurrency=6)
    provider = InlineProvider()
    runtimes = [Runtime(provider, store=URL, durable=True, budget=budget, python="off") for _ in range(4)]
    program = "(map-async (lambda (n) (llm-query-async #:instruction (number->string n))) (range 15))"
    sessions = [runtime.session(name=f"{name}-{number}") for number, runtime in enumerate(runtimes)]
    results = await asyncio.gather(*(session.execute(program) for session in sessions))
    assert [result.status for result in results].count("limit") >= 1
    for runtime in runtimes:
        await runtime.aclose()
    assert len(provider.requests) == 40
    store = open_store(URL)
    state = store.budgets.state(name)
    assert state is not None
    assert (state.used["calls"], state.lent["calls"], state.lent["places"], state.holders) == (40, 40, 0, 0)
    for session in sessions:
        assert await store.sessions.delete(session.name or "")
    await store.aclose()


async def test_an_execution_is_asked_for_by_its_id_from_several_processes(name: str) -> None:
    """One runs it; the next one is given what came of it."""
    async with Runtime("echo", store=URL, durable=True) as one, one.session(name=name) as session:
        first = await session.execute("(finish (list 1 'two))", request="r")
    async with Runtime("echo", store=URL, durable=True) as two:
        async with await two.resume(name) as session:
            assert await session.execute("(finish 3)", request="r") == first
        assert await two.store.sessions.delete(name)  # type: ignore[attr-defined]


async def test_children_elsewhere_spend_what_their_parent_has_and_leave_nothing(name: str) -> None:
    """Over the server, too: each call is sent once, and when one runtime is closed another goes on."""
    sent: list[str] = []

    class Reading:
        free = True

        async def complete(self, request: CompletionRequest) -> Completion:
            sent.append(request.idempotency_key or "")
            await asyncio.sleep(0.01)
            program = '(finish (syntax-e (llm-query #:instruction "q" #:data context)))'
            text = f"```scheme\n{program}\n```" if request.purpose == "program" else request.data
            return Completion(text=text, prompt_tokens=6, completion_tokens=4)

    options = {"store": URL, "durable": True, "python": "off", "limits": Limits(tokens=10**6, concurrency=4)}
    budget = SharedBudget(name=name, calls=100, concurrency=3)
    program = """(finish (string-join (map-async
      (lambda (n) (llm-query-async #:instruction "W" #:data (number->string n) #:recursive #t)) (range 8)) ","))"""
    runtimes = [Runtime(Reading(), budget=budget, **options) for _ in range(3)]  # type: ignore[arg-type]
    elsewhere = Others(*runtimes[1:])
    runtimes[0].run_children(elsewhere)
    session = runtimes[0].session(name=name)
    running = asyncio.create_task(session.execute(program))
    while len(sent) < 6:
        await asyncio.sleep(0.001)
    await elsewhere.runtimes.pop().aclose()
    result = await running
    assert result.value == "0,1,2,3,4,5,6,7", result.error
    assert (result.execution.calls, len(set(sent))) == (16, 16)
    names = [kept.name for kept in await runtimes[0].store.sessions.list()]  # type: ignore[attr-defined]
    assert [kept for kept in names if kept.startswith(name)] == [name]
    await session.aclose()
    state = runtimes[0].store.budgets.state(name)  # type: ignore[attr-defined]
    assert state.lent["places"] == 0
    for runtime in runtimes:
        await runtime.aclose()
