"""A short call costs little: it is waited for where one stands, and what was compiled is kept."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from rlm_wasm.capabilities.python import PythonReply
from rlm_wasm.errors import LimitExceeded, PythonFailure
from rlm_wasm.python import snippets, wasi
from rlm_wasm.python.place import FamilyPlace, locked_at_once
from rlm_wasm.python.snippets import Snippets
from rlm_wasm.python.workers import Running, Workers

from .conftest import FUEL, Make, run


@pytest.fixture
def pool() -> Iterator[Workers]:
    """Two threads."""
    made = Workers(slots=2, threads=2)
    yield made
    made.leave()


async def test_a_job_is_waited_for_here_or_on_the_loop(pool: Workers) -> None:
    """Whichever way, it gives what it gave."""
    quick = pool.submit(lambda: 1)
    assert quick.wait(60)
    await quick.ended()
    assert quick.result() == 1
    gate = threading.Event()
    slow = pool.submit(gate.wait)
    assert not slow.wait(0)
    waiting = asyncio.ensure_future(slow.ended())
    told: asyncio.Queue[bool] = asyncio.Queue()
    await asyncio.sleep(0)
    slow.then(lambda: told.put_nowait(slow.over))
    gate.set()
    await waiting
    assert await told.get()  # by the thread, which tells one after the other
    slow.then(lambda: told.put_nowait(True))
    await asyncio.sleep(0)
    assert told.get_nowait()
    assert told.empty()
    assert await pool.run(lambda: 2) == 2


async def test_what_a_job_raises_is_raised_by_whoever_wanted_it(pool: Workers) -> None:
    """And the thread goes on."""
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    assert await pool.run(lambda: 3) == 3


async def test_more_jobs_than_threads_wait_in_order(pool: Workers) -> None:
    """None is lost, and no more threads are made than there may be."""
    gate = threading.Event()
    order: list[int] = []
    held = [pool.submit(gate.wait) for _ in range(2)]
    jobs = [pool.submit(lambda i=i: order.append(i)) for i in range(20)]  # type: ignore[misc]
    assert not any(job.over for job in jobs)
    gate.set()
    for job in (*held, *jobs):
        await job.ended()
    assert sorted(order) == list(range(20))
    assert len(pool._threads) == 2


def test_threads_end_with_their_process(pool: Workers) -> None:
    """Those that wait are told, and those that run are stopped: see the next test."""
    assert pool.submit(lambda: 1).wait(60)
    pool.leave()
    assert not any(thread.is_alive() for thread in pool._threads)


LEAVING = """
import asyncio
from rlm_wasm import Limits
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.python.wasi import WasiPython

async def main():
    python = WasiPython(limits=Limits(), workspace=Workspace(None))
    await python.run("exec", ["x = 1"], fuel=10**15, timeout_s=600)
    spinning = asyncio.ensure_future(python.run("exec", ["while True: pass"], fuel=10**15, timeout_s=600))
    await asyncio.sleep(0)
    asyncio.get_running_loop().stop()

asyncio.new_event_loop().create_task(main()).get_loop().run_forever()
print("left")
"""


def test_a_process_that_ends_while_python_spins_ends() -> None:
    """Its code is stopped at the next tick, before the interpreter goes."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr


async def test_a_call_after_a_short_one_is_answered_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same step of the event loop."""
    monkeypatch.setattr(wasi, "MOMENT_S", 60.0)
    python = make("wasi")
    first = python.begin("eval", ["1 + 1"], fuel=FUEL, timeout_s=60)
    assert not isinstance(first, PythonReply)  # nobody knows yet how long it takes
    assert (await first).value == 2
    second = python.begin("eval", ["1 + 2"], fuel=FUEL, timeout_s=60)
    assert isinstance(second, PythonReply)
    assert second.value == 3
    with pytest.raises(PythonFailure, match="NameError"):
        python.begin("eval", ["nothing"], fuel=FUEL, timeout_s=60)
    assert (await run(python, "eval", "4")).value == 4


async def test_a_call_that_turns_out_long_is_left_to_its_thread(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on, the next call waits for its turn, and closing what nobody awaits stops it."""
    python = make("wasi")
    await run(python, "exec", "kept = 5")
    monkeypatch.setattr(python, "_short", True)
    monkeypatch.setattr(wasi, "MOMENT_S", 0.0)
    spinning = python.begin("exec", ["while True: pass"], fuel=10**15, timeout_s=600)
    assert not isinstance(spinning, PythonReply)
    after = python.begin("eval", ["kept"], fuel=FUEL, timeout_s=600)
    assert not isinstance(after, PythonReply)
    spinning.close()  # never awaited
    assert (await after).value == 5


async def test_a_long_call_that_is_cancelled_is_stopped(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that was never waited for on the loop's thread."""
    python = make("wasi")
    await run(python, "exec", "kept = 5")
    monkeypatch.setattr(python, "_short", True)
    monkeypatch.setattr(wasi, "MOMENT_S", 0.0)
    task = asyncio.ensure_future(python.begin("exec", ["while True: pass"], fuel=10**15, timeout_s=600))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await run(python, "eval", "kept", timeout_s=600)).value == 5


async def test_a_limit_of_a_long_call_fires(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fuel, as for any other."""
    python = make("wasi")
    await run(python, "exec", "kept = 5")
    monkeypatch.setattr(python, "_short", True)
    monkeypatch.setattr(wasi, "MOMENT_S", 60.0)
    with pytest.raises(LimitExceeded) as caught:
        python.begin("exec", ["while True: pass"], fuel=50_000_000, timeout_s=600)
    assert "fuel" in str(caught.value)


async def test_a_lock_is_taken_at_once_only_where_nobody_is_before() -> None:
    """Neither who has it nor who waits is passed over."""
    lock = asyncio.Lock()
    assert locked_at_once(lock)
    assert not locked_at_once(lock)
    waiting = asyncio.ensure_future(lock.acquire())
    await asyncio.sleep(0)
    lock.release()
    assert not locked_at_once(lock)
    assert await waiting
    lock.release()
    assert locked_at_once(lock)


async def test_a_place_is_taken_at_once_only_where_no_other_has_it() -> None:
    """Who has it first keeps his variables."""

    class Guest:
        gave = False

        async def give_way(self) -> None:
            self.gave = True

    place, one, other = FamilyPlace(), Guest(), Guest()
    assert place.take_at_once(one)
    assert not place.take_at_once(other)
    place.release()
    assert not place.take_at_once(other)
    async with place.taken_by(other):
        assert one.gave
    assert place.take_at_once(other)
    place.release()


async def test_what_is_closed_before_it_was_begun_is_stopped() -> None:
    """Its coroutine never ran, so that nothing in it could."""
    stopped: list[bool] = []

    async def never() -> None:
        raise AssertionError

    running = Running(never(), lambda: stopped.append(True))
    running.close()
    running.close()
    assert stopped == [True, True]


async def test_code_that_was_compiled_is_not_compiled_again(make: Make) -> None:
    """In fuel, which is exact: a tenth of what it took before there was anything kept."""
    python = make("wasi")
    first = (await run(python, "eval", "sum([1, 2, 3])")).fuel
    again = [(await run(python, "eval", "sum([1, 2, 3])")).fuel for _ in range(3)]
    assert max(again) < 80_000
    assert first > max(again) + 100_000


async def test_kept_code_sees_the_variables_as_they_are(make: Make) -> None:
    """It is the code that is kept, not what it gave."""
    python = make("wasi")
    await run(python, "exec", "x = 1")
    assert (await run(python, "eval", "x + 1")).value == 2
    await run(python, "exec", "x += 1")
    await run(python, "exec", "x += 1")
    assert (await run(python, "eval", "x + 1")).value == 4
    with pytest.raises(PythonFailure, match=r"line 1: 1 // \(x - 3\)"):
        await run(python, "eval", "1 // (x - 3)")
    with pytest.raises(PythonFailure, match=r"line 1: 1 // \(x - 3\)"):
        await run(python, "eval", "1 // (x - 3)")
    await run(python, "exec", "x = 4")
    assert (await run(python, "eval", "1 // (x - 3)")).value == 1


def test_as_much_code_is_kept_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first; a long one is never kept."""
    monkeypatch.setattr(snippets, "MAX_KEPT", 10 * (snippets.KEPT_ENTRY + 10))
    kept = Snippets()
    space: dict[str, object] = {}
    for i in range(100):
        assert kept.execute(f"1{i:09}", space, last_value=True) == 10**9 + i
    assert [code for code, _ in kept._kept] == [f"1{i:09}" for i in range(90, 100)]
    long = "len([" + "1, " * 1_000 + "])"
    assert kept.execute(long, space, last_value=True) == 1_000
    assert (long, True) not in kept._kept
    assert kept._kept_size == 10 * (snippets.KEPT_ENTRY + 10)


async def test_what_one_call_did_to_its_streams_is_not_the_next_ones(make: Make) -> None:
    """They are used again where nobody touched them, and only there."""
    python = make("wasi")
    for touching in ("sys.stdout.close()", "sys.stdout.write = len", "print('a')", "sys.stdout = None"):
        await run(python, "exec", f"import sys\n{touching}")
        assert (await run(python, "exec", "print('b')")).stdout == "b\n"
    await run(python, "exec", "out = sys.stdout")
    assert (await run(python, "exec", "print('c', file=out)")).stdout == "c\n"
