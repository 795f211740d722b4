"""A session that nothing runs in stays usable, however long other sessions work meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_wasm import Runtime, Session, UsageError
from rlm_wasm.session_parts import idle as idle_module
from rlm_wasm.session_parts.idle import SMALL, IdleSessions


async def test_what_an_idle_session_is_asked_takes_none_of_its_last_fuel() -> None:
    """Its last slice ran until the hard trap's fuel was nearly gone: the host's own calls do not trap on that."""
    async with Runtime("extractive", python="off") as runtime, runtime.session() as session:
        await session.execute("(define x 1)")
        instance = session._scheduler.guest.sandbox._awake()
        instance.bind(1)
        fork = await session.fork()
        for of_both in (session, fork):
            assert (await of_both.execute("x")).value == "1"
            assert of_both.state()["used"]["memory_bytes"] > 0
        await fork.aclose()


LARGE = "(define v (make-vector 1500000 1)) (for ([i 1500000]) (vector-set! v i i))"
CHECK = "(list (vector-length v) (vector-ref v 7) (vector-ref v 1499999))"


def awake(session: Session) -> bool:
    """Whether it has an instance."""
    return session._scheduler.guest.sandbox._i is not None


async def until(happened: Callable[[], bool]) -> None:
    """Turns, until it has happened; the test's own timeout is the bound."""
    while not happened():
        await asyncio.sleep(0)


async def test_a_large_session_that_rests_too_long_sleeps_and_wakes_as_it_was() -> None:
    """Nobody notices but the system, which has its memory back."""
    async with Runtime("echo", python="off", idle_s=0.0) as runtime, runtime.session() as session:
        await session.execute(LARGE)
        await until(lambda: not awake(session))
        assert runtime.stats()["idle_bytes"] == 0
        assert (await session.execute(CHECK)).value == "(1500000 7 1499999)"
        await until(lambda: not awake(session))
        assert (await session.execute("(vector-set! v 7 'x) " + CHECK)).value == "(1500000 x 1499999)"


async def test_sessions_that_hold_too_much_together_sleep_the_longest_unused_first() -> None:
    """The last one used keeps its memory, as far as the bound allows."""
    async with Runtime("echo", python="off", idle_bytes=18 << 20, idle_s=1e6) as runtime:
        sessions = [runtime.session() for _ in range(4)]
        for session in sessions:
            await session.execute(LARGE)
        await until(lambda: runtime.stats()["idle_bytes"] <= 18 << 20)
        await until(lambda: not awake(sessions[2]))
        assert [awake(session) for session in sessions] == [False, False, False, True]
        for session in sessions:
            assert (await session.execute(CHECK)).value == "(1500000 7 1499999)"


async def test_what_is_used_of_the_image_s_own_room_counts() -> None:
    """It takes as much memory as any other, though the guest never asked for more."""
    async with (
        Runtime("echo", python="off", idle_bytes=0, idle_s=1e6) as runtime,
        runtime.session() as session,
    ):
        await session.execute("(define v (make-vector 700000 1))")
        sandbox = session._scheduler.guest.sandbox
        assert sandbox.memory_bytes() == runtime.engine.image_size
        assert 5_600_000 < sandbox.touched_bytes() < 8 << 20
        await until(lambda: not awake(session))
        assert sandbox.touched_bytes() == 0


async def test_a_small_session_never_sleeps_for_its_bytes_or_age() -> None:
    """Its next execution waits for nothing."""
    async with Runtime("echo", python="off", idle_bytes=0, idle_s=0.0) as runtime, runtime.session() as small:
        async with runtime.session() as large:
            await small.execute("(define x 1)")
            await large.execute(LARGE)
            await until(lambda: not awake(large))
        assert awake(small)


async def test_a_crash_after_it_woke_goes_back_to_how_it_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it slept with is what a rollback goes back to: no image is taken a second time."""
    from rlm_wasm.execution import guest

    async with Runtime("echo", python="off", idle_s=0.0) as runtime, runtime.session() as session:
        await session.execute(LARGE)
        await until(lambda: not awake(session))
        with monkeypatch.context() as patch:
            patch.setattr(guest, "SLICE_FUEL", 10_000)
            result = await session.execute("(vector-set! v 7 0) (let loop () (loop))")
        assert result.rolled_back
        assert (await session.execute(CHECK)).value == "(1500000 7 1499999)"


async def test_an_execution_that_comes_while_a_session_falls_asleep_waits_for_that() -> None:
    """Nothing is lost, whichever moment it comes at; forks and snapshots of a sleeping one are as ever."""
    async with Runtime("echo", python="off", idle_s=0.0) as runtime, runtime.session() as session:
        await session.execute(LARGE)
        for turns in range(0, 40, 3):
            for _ in range(turns):
                await asyncio.sleep(0)
            assert (
                await session.execute(f"(vector-set! v {turns} 'seen) (vector-ref v {turns})")
            ).value == "seen"
        fork = await session.fork()
        assert (await fork.execute("(for/sum ([x v]) (if (eq? x 'seen) 1 0))")).value == "14"
        await until(lambda: not awake(session))
        async with await runtime.restore((await session.snapshot()).dump()) as back:
            assert (await back.execute("(vector-ref v 39)")).value == "seen"


async def test_a_session_that_is_closed_while_it_falls_asleep() -> None:
    """It is closed, and the others go on falling asleep."""
    async with Runtime("echo", python="off", idle_s=0.0) as runtime:
        session, other = runtime.session(), runtime.session()
        await session.execute(LARGE)
        await other.execute(LARGE)
        await asyncio.sleep(0)
        await session.aclose()
        await until(lambda: not awake(other))
        assert (await other.execute(CHECK)).value == "(1500000 7 1499999)"


def sleeper(name: str, slept: list[str]) -> Callable[[], Awaitable[None]]:
    """One that notes that it was put to sleep."""

    async def sleep() -> None:
        slept.append(name)

    return sleep


async def test_who_is_used_again_or_small_does_not_sleep() -> None:
    """Age counts from the last use; bytes count from a few megabytes on."""
    slept: list[str] = []
    now = 0.0
    idle = IdleSessions(3 * SMALL, 10.0, clock=lambda: now)
    idle.rested("a", SMALL, sleeper("a", slept))
    idle.rested("tiny", SMALL - 1, sleeper("tiny", slept))
    idle.rested("b", SMALL, sleeper("b", slept))
    now = 9.0
    idle.used("a")
    idle.rested("a", SMALL, sleeper("a", slept))
    now = 11.0
    idle.rested("c", SMALL, sleeper("c", slept))
    await asyncio.sleep(0)
    assert slept == ["b"]
    idle.rested("d", 2 * SMALL, sleeper("d", slept))
    await asyncio.sleep(0)
    assert slept == ["b", "a"]
    assert idle.held == 3 * SMALL
    idle.close()
    assert idle.held == 0


async def test_who_waits_sleeps_after_those_that_rest_and_once_that_is_worth_it() -> None:
    """A second, and one more for what takes a tenth of that to wake; used again it begins anew."""
    slept: list[str] = []
    now = 0.0
    size = 2 * idle_module.WAITED_BYTES_A_S
    idle = IdleSessions(size, 1e6, clock=lambda: now)
    idle.waits("w", size, sleeper("w", slept))
    idle.rested("r", size, sleeper("r", slept))
    await asyncio.sleep(0)
    assert slept == ["r"]
    idle.waits("x", size, sleeper("x", slept))
    for moment in (1.0, 2.9):
        now = moment
        idle._look()
        await asyncio.sleep(0)
        assert slept == ["r"]
    now = 3.0
    idle._look()
    await asyncio.sleep(0)
    assert slept == ["r", "w"]
    assert idle.held == size
    idle.waits("w", size, sleeper("w", slept))
    now = 5.9
    idle._look()
    await asyncio.sleep(0)
    assert slept == ["r", "w", "x"]
    idle.used("w")
    idle.close()


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.0, 3.0), st.integers(1, 20)), max_size=40),
    st.integers(0, 40),
)
def test_no_session_spends_more_than_a_small_part_of_its_time_on_falling_asleep(
    moments: list[tuple[str, float, int]], most: int
) -> None:
    """Whatever comes: before each sleep it has waited ten times what sleeping and waking take; what is held is the sum."""

    async def through() -> None:
        now = 0.0
        slept: list[tuple[str, float]] = []
        waiting: dict[str, tuple[float, int]] = {}

        def sleep_of(name: str) -> Callable[[], Awaitable[None]]:
            async def sleep() -> None:
                since, size = waiting.pop(name)
                assert now - since >= size / (20 << 20)
                slept.append((name, now))

            return sleep

        idle = IdleSessions(most << 20, 1e6, clock=lambda: now)
        for name, passed, megabytes in moments:
            if name in waiting:
                idle.used(name)
                del waiting[name]
            else:
                waiting[name] = (now, SMALL + (megabytes << 20))
                idle.waits(name, SMALL + (megabytes << 20), sleep_of(name))
            now += passed
            idle._look()
            while idle._sweeping is not None:
                await asyncio.sleep(0)
            assert idle.held == sum(size for _, size in waiting.values())
        idle.close()

    asyncio.run(through())


WAITING = LARGE + "(define got (f)) (list got (vector-length v) (vector-ref v 7) (vector-ref v 1499999))"


async def test_a_large_session_that_waits_sleeps_and_goes_on_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of its execution; the reply wakes it."""
    monkeypatch.setattr(idle_module, "WAITED_S", 0.0)
    monkeypatch.setattr(idle_module, "WAITED_BYTES_A_S", 1 << 60)
    reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def f() -> int:
        return await reply

    async with (
        Runtime("echo", python="off", idle_bytes=0, idle_s=1e6, host_functions={"f": f}) as runtime,
        runtime.session() as session,
    ):
        running = asyncio.create_task(session.execute(WAITING))
        await until(lambda: not awake(session) and not session._scheduler.guest.is_held)
        assert session._scheduler.guest.sandbox.frozen_bytes > SMALL
        async with await runtime.restore(
            (await session.snapshot()).dump(), host_functions={"f": lambda: 6}
        ) as back:
            back.cancel()
        reply.set_result(5)
        assert (await running).data == [5, 1_500_000, 7, 1_499_999]


async def test_a_reply_that_comes_while_a_session_falls_asleep_is_not_kept_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it has come to: it gives that up, or is woken; a cancellation does the same, and no definition is lost."""
    monkeypatch.setattr(idle_module, "WAITED_S", 0.0)
    monkeypatch.setattr(idle_module, "WAITED_BYTES_A_S", 1 << 60)
    turns = 0

    async def f() -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    async with (
        Runtime("echo", python="off", idle_bytes=0, idle_s=1e6, host_functions={"f": f}) as runtime,
        runtime.session() as session,
    ):
        await session.execute(LARGE)
        for turns in range(0, 60, 4):
            assert (await session.execute(f"(f) (vector-set! v {turns} 'seen) (f)")).data == turns
        turns = 10**9
        for given in range(1, 50, 7):
            running = asyncio.create_task(session.execute(f"(define d{given} 1) (f)"))
            for _ in range(given):
                await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert (await session.execute("(for/sum ([x v]) (if (eq? x 'seen) 1 0))")).data == 15


def test_a_bound_below_nothing_is_refused() -> None:
    """With words that name it."""
    with pytest.raises(UsageError, match="idle_bytes"):
        Runtime("echo", idle_bytes=-1)
    with pytest.raises(UsageError, match="idle_s"):
        Runtime("echo", idle_s=float("nan"))
