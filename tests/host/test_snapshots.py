"""Snapshots, forks, restoring, and instances that sleep."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Generator
from typing import Any

import pytest

from host.suspending import SUSPENDING
from rlm_wasm import Limits, Runtime, Snapshot, SnapshotCorrupt, SnapshotVersionError, UsageError
from rlm_wasm.errors import InstanceLost
from rlm_wasm.sandbox.sandbox import Sandbox, live_sandboxes
from rlm_wasm.sandbox.snapshot import Image
from rlm_wasm.testing import GatedProvider, bracketed

pytestmark = pytest.mark.usefixtures("each_way")


@pytest.mark.parametrize("name", SUSPENDING)
async def test_a_program_goes_on_from_every_suspension(name: str) -> None:
    """In another runtime, from bytes: the same value, output, calls and fuel."""
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate) as runtime:
        task = asyncio.create_task(runtime.run(SUSPENDING[name]))
        while not task.done():
            gate.release_many(1)
            await asyncio.sleep(0)
        straight = await task
        assert straight.status == "ok", straight
    at = 0
    while True:
        one, two = GatedProvider(bracketed), GatedProvider(bracketed)
        async with Runtime(provider=one) as first, Runtime(provider=two) as second:
            session = first.session()
            task = asyncio.create_task(session.execute(SUSPENDING[name]))
            for _ in range(at):
                while not one.waiting and not task.done():
                    await asyncio.sleep(0)
                one.release_many(1)
                await asyncio.sleep(0)
            while not one.waiting and not task.done():
                await asyncio.sleep(0)
            if task.done():
                break
            data = (await session.snapshot()).dump()
            restored = await second.restore(data)
            assert restored.suspended
            resumed = asyncio.create_task(restored.resume())
            while not resumed.done():
                two.release_many(1)
                await asyncio.sleep(0)
            result = await resumed
            session.cancel()
            await task
        ours, theirs = dataclasses.asdict(result), dataclasses.asdict(straight)
        for both in (ours, theirs):
            both["execution"].pop("elapsed")
            both["execution"].pop("fuel")  # depends on how replies are batched
            both["execution"].pop("memory_bytes")
        assert ours == theirs
        at += 1
    assert at > 0


async def test_an_idle_session_is_restored_with_all_it_had(runtime: Runtime) -> None:
    """Definitions, contexts, log, usage; not the runtime's capabilities."""
    async with runtime.session(namespace="n") as session:
        await session.load_context("text")
        await session.execute('(define v (vector 1 2)) (define (f) v) (llm-query #:instruction "a")')
        snapshot = Snapshot.load((await session.snapshot()).dump())
    assert not snapshot.suspended
    async with Runtime(provider=None) as other:
        back = await other.restore(snapshot)
        assert (await back.execute("(list (f) context)")).value == "(#(1 2) text)"
        assert back.namespace == "n"
        assert back.state()["used"]["calls"] == 1
        assert [entry["op"] for entry in back.scope_log()] == ["llm-query"]
        with pytest.raises(UsageError):
            await back.resume()


async def test_a_fork_is_independent(runtime: Runtime) -> None:
    """Neither sees what the other does from then on."""
    async with runtime.session() as session:
        await session.execute("(define l (list 1 2 3))")
        fork = await session.fork()
        await session.execute("(set-car! l 'here)")
        await fork.execute("(set-car! l 'there)")
        assert (await session.execute("(car l)")).value == "here"
        assert (await fork.execute("(car l)")).value == "there"


async def test_a_fork_in_the_middle_sends_its_calls_again(gated: Runtime, gate: GatedProvider) -> None:
    """And both come to their end."""
    async with gated.session() as session:
        task = asyncio.create_task(session.execute('(syntax-e (llm-query #:instruction "a"))'))
        await gate.arrived(1)
        fork = await session.fork()
        other = asyncio.create_task(fork.resume())
        await gate.arrived(2)
        gate.release_many(2)
        assert (await task).value == (await other).value == "[a]"


async def test_a_restored_session_must_be_resumed_or_reset(gated: Runtime, gate: GatedProvider) -> None:
    """Another program meanwhile would mix the two."""
    async with gated.session() as session:
        task = asyncio.create_task(session.execute('(llm-query #:instruction "a")'))
        await gate.arrived(1)
        fork = await session.fork()
        with pytest.raises(UsageError, match="resume"):
            await fork.execute("1")
        await fork.reset()
        assert (await fork.execute("1")).value == "1"
        session.cancel()
        await task


async def test_a_computing_program_can_be_snapshotted(runtime: Runtime) -> None:
    """At a slice's end."""
    program = "(let loop ((i 0)) (if (< i 3000000) (loop (+ i 1)) i))"
    async with runtime.session() as session:
        task = asyncio.create_task(session.execute(program))
        await asyncio.sleep(0)
        snapshot = await session.snapshot()
        assert snapshot.suspended
        back = await runtime.restore(snapshot)
        assert (await back.resume()).value == (await task).value == "3000000"


async def test_a_foreign_image_is_refused(runtime: Runtime) -> None:
    """Pages of another guest would be nonsense in this one."""
    async with runtime.session() as session:
        snapshot = await session.snapshot()
    foreign = dataclasses.replace(snapshot, header={**snapshot.header, "image": "f" * 64})
    with pytest.raises(SnapshotVersionError, match="ffff"):
        await runtime.restore(foreign.dump())
    with pytest.raises(SnapshotCorrupt):
        await runtime.restore(snapshot.dump()[:-1])


async def test_limits_used_come_along(runtime: Runtime) -> None:
    """A restored session does not get its tokens back."""
    async with runtime.session(limits=Limits(tokens=10_000)) as session:
        await session.execute('(llm-query #:instruction "a" #:max-tokens 10)')
        data = (await session.snapshot()).dump()
    back = await runtime.restore(data, limits=Limits(tokens=10_000))
    assert back.state()["used"]["tokens"] == 15


async def test_waiting_sessions_sleep_and_wake(
    gated: Runtime, gate: GatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many live instances the longest unused give theirs up; nobody notices."""
    monkeypatch.setattr(Sandbox, "max_live", 5)
    gc.collect()
    tasks = [
        asyncio.create_task(gated.run(f'(define x {i}) (llm-query #:instruction "a") (* 2 x)'))
        for i in range(40)
    ]
    await gate.arrived(40)
    assert len(live_sandboxes()) <= 5
    gate.release_many(40)
    assert [(await task).value for task in tasks] == [str(2 * i) for i in range(40)]


async def test_a_crash_rolls_back_to_before_the_evaluation(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What earlier programs did is kept, what this one did is undone, and the Result says so."""
    from rlm_wasm.execution import guest
    from rlm_wasm.sandbox import sandbox

    async with runtime.session() as session:
        await session.execute('(define a (list 1 2)) (define h (llm-query-async #:instruction "q"))')
        await session.execute("(set-car! a 5)")
        monkeypatch.setattr(guest, "SLICE_STEPS", 20_000)
        run = sandbox.Sandbox.run

        def crashing(self: Sandbox, message: bytes | None, steps: int, fuel: int) -> int:
            if message is None or b"tick" in message:
                fuel = 1_000  # the hard trap
            return run(self, message, steps, fuel)

        monkeypatch.setattr(sandbox.Sandbox, "run", crashing)
        result = await session.execute(
            "(define b 1) (set-car! a 6) (let loop ((i 0)) (if (< i 100000) (loop (+ i 1))))"
        )
        monkeypatch.setattr(sandbox.Sandbox, "run", run)
        assert (result.status, result.rolled_back) == ("error", True)
        assert result.error is not None
        assert result.error.type == "sandbox-crashed"
        assert "a time slice took more than 4,000,000,000 of fuel" in result.error.message
        assert (await session.execute("(list a (syntax-e (await h)))")).value == "((5 2) [q])"
        assert (await session.execute("b")).status == "error"


async def test_a_long_session_is_rolled_back_from_an_image(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After much work the journal gives way to a memory image."""
    from rlm_wasm.execution import replay_log

    monkeypatch.setattr(replay_log, "_MOST_FUEL", 100_000)
    async with runtime.session() as session:
        for i in range(6):
            await session.execute(f"(define v{i} (make-vector 10 {i}))")
        assert session._scheduler.guest.log.base is not None
        lost = await session.execute(
            "(define v6 1) (let loop ([s (make-string 1000 #\\a)]) (loop (string-append s s)))"
        )
        assert lost.status == "limit"
        # what was there before that execution is there, by the image and the runs since
        assert (await session.execute("(list (vector-ref v4 3) (vector-ref v5 9))")).value == "(4 5)"


async def test_a_heavy_execution_is_done_again_once_where_it_is_rolled_back_to(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluation after it takes no image; the second rollback has one."""
    from rlm_wasm.execution import replay_log

    monkeypatch.setattr(replay_log, "_MAX_FUEL_TWICE", 1_000_000)
    run = Sandbox.run

    def lost(self: Sandbox, *arguments: Any) -> int:
        monkeypatch.setattr(Sandbox, "run", run)
        raise InstanceLost("trap", "by the test")

    async with runtime.session() as session:
        log = session._scheduler.guest.log
        await session.execute("(define h (make-hash)) (for ([i 40000]) (hash-set! h i (* i i)))")
        assert (await session.execute("(hash-count h)")).value == "40000"
        assert log.base is None
        for _ in range(2):
            monkeypatch.setattr(Sandbox, "run", lost)
            result = await session.execute("(hash-set! h 1 'gone)")
            assert result.rolled_back
            assert (
                await session.execute("(list (hash-ref h 1) (hash-ref h 39999))")
            ).value == "(1 1599920001)"
        assert log.base is not None


async def test_large_messages_are_given_again_where_an_execution_is_rolled_back(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contexts and answers of some mebibytes, without an image of the session before."""
    run = Sandbox.run

    def lost(self: Sandbox, *arguments: Any) -> int:
        monkeypatch.setattr(Sandbox, "run", run)
        raise InstanceLost("trap", "by the test")

    async with runtime.session() as session:
        await session.load_context("a line of text\n" * 150_000)
        await session.execute("(define lines (length (context-lines 0 1000000))) (define kept context)")
        await session.execute("(define more 1)")
        assert session._scheduler.guest.log.base is None
        monkeypatch.setattr(Sandbox, "run", lost)
        assert (await session.execute("(set! kept 'gone)")).rolled_back
        result = await session.execute("(list lines more (string-length kept))")
        assert result.value == "(150000 1 2250000)", result.error


GARBAGE = "(define kept (for/list ([i 50]) (number->string i))) (for ([i 3000]) (make-string 100 #\\a))"


async def test_what_nobody_needs_is_collected_before_an_idle_session_is_copied(runtime: Runtime) -> None:
    """Where that is half of the heap; then a snapshot has what is kept, and little else."""
    async with runtime.session() as session:
        await session.execute(GARBAGE)
        heap = session.state()["used"]["memory_bytes"]
        snapshot = await session.snapshot()
        assert len(snapshot.memory().content) < heap / 3
        assert session.state()["used"]["memory_bytes"] < heap / 3
        async with await runtime.restore(snapshot.dump()) as back:
            for one in (session, back):
                assert (await one.execute("(list (length kept) (list-ref kept 49))")).value == "(50 49)"


async def test_a_session_that_executes_is_copied_as_it_is(gated: Runtime, gate: GatedProvider) -> None:
    """Nothing runs in it for a snapshot's sake."""
    async with gated.session() as session:
        running = asyncio.create_task(
            session.execute(
                f'{GARBAGE} (finish (string-append (car kept) (syntax-e (llm-query #:instruction "q"))))'
            )
        )
        await gate.arrived(1)
        heap = session.state()["used"]["memory_bytes"]
        back = await gated.restore((await session.snapshot()).dump())
        assert session.state()["used"]["memory_bytes"] == heap
        going_on = asyncio.create_task(back.resume())
        await gate.arrived(2)
        gate.release()
        gate.release()
        assert (await running).value == (await going_on).value == "0[q]"


async def test_a_reply_that_waits_for_one_snapshot_is_in_the_next(
    gated: Runtime, gate: GatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came while memory was copied: the guest cannot take it yet, and nobody else may lose it."""
    copying, original = True, Sandbox.capture_in_turns

    def slow(sandbox: Sandbox) -> Generator[None, None, Image]:
        while copying:
            yield
        return (yield from original(sandbox))

    async with gated.session() as session:
        running = asyncio.create_task(
            session.execute('(string-append (syntax-e (llm-query #:instruction "q")) "!")')
        )
        await gate.arrived(1)
        monkeypatch.setattr(Sandbox, "capture_in_turns", slow)
        first = asyncio.create_task(session.snapshot())
        while not session._scheduler.guest.is_held:
            await asyncio.sleep(0)
        gate.release()
        while session._scheduler.requests.replies_due or session._scheduler.requests.live:
            await asyncio.sleep(0)
        second = asyncio.create_task(session.snapshot())
        for _ in range(3):
            await asyncio.sleep(0)
        copying = False
        before, after = await first, await second
        assert (await running).value == "[q]!"
        async with await gated.restore(after) as back:
            assert not after.suspended or (await back.resume()).value == "[q]!"
        async with await gated.restore(before) as back:
            going_on = asyncio.create_task(back.resume())
            await gate.arrived(1)
            gate.release()
            assert (await going_on).value == "[q]!"
