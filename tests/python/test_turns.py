"""Whose turn it is to run Python: a short call among spinning ones begins at the next tick."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rlm_wasm.errors import LimitExceeded
from rlm_wasm.python import workers
from rlm_wasm.python.workers import Turn, Turns

from .conftest import Make, run


class Players:
    """Calls as threads that do one step when the test says so, and a log of who ran."""

    def __init__(self, slots: int) -> None:
        self.turns = Turns(slots)
        self.log: list[str] = []
        self.stopped: set[str] = set()

    def start(self, name: str, steps: int) -> threading.Thread:
        """A call of so many steps; returns when it has its turn or waits for one."""

        def body() -> None:
            turn = Turn(self.turns, lambda: name in self.stopped)
            going = turn.begin()
            for step in range(steps):
                if not going or (step and not turn.pass_on()):
                    break
                self.log.append(name)
            turn.end()

        before = self.turns.waiting
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        while thread.is_alive() and self.turns.waiting == before:
            pass
        return thread


def test_a_new_call_runs_after_one_step_of_a_spinning_one() -> None:
    """However many spin: they took their places in the order of going on, it comes first."""
    players = Players(slots=1)
    assert players.turns.take(lambda: False)  # the test holds the only slot while they line up
    threads = [players.start(f"spin{i}", 50) for i in range(8)]
    threads.append(players.start("polite", 1))
    players.turns.end()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert players.log.index("polite") <= 2 * 9
    assert len(players.log) == 8 * 50 + 1
    rest = players.log[40:300]
    assert {rest.count(f"spin{i}") for i in range(8)} <= set(range(25, 41))  # about a share each


def test_a_flood_of_new_calls_does_not_starve_one_that_goes_on() -> None:
    """Both kinds take turns."""
    players = Players(slots=1)
    assert players.turns.take(lambda: False)
    threads = [players.start("long", 5)]
    threads += [players.start(f"short{i}", 1) for i in range(20)]
    players.turns.end()
    for thread in threads:
        thread.join(30)
    assert [i for i, name in enumerate(players.log) if name == "long"] == [0, 2, 4, 6, 8]


def test_a_call_that_is_stopped_while_it_waits_leaves_the_line() -> None:
    """And takes no slot with it."""
    players = Players(slots=1)
    assert players.turns.take(lambda: False)
    thread = players.start("late", 1)
    players.stopped.add("late")
    thread.join(30)
    assert players.turns.waiting == 0
    players.turns.end()
    assert players.turns.take(lambda: True)
    assert players.log == []


def test_a_pause_lets_others_run() -> None:
    """A sleeping program needs no slot."""
    turns = Turns(1)
    turn = Turn(turns, lambda: False)
    assert turn.begin()
    turn.pause(lambda: turns.take(lambda: True) and turns.end())
    turn.end()
    turn.end()
    assert turns.take(lambda: True)


async def test_a_polite_session_is_served_among_spinning_ones(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times as many as there are slots, which by themselves would run for ever."""
    monkeypatch.setattr(workers, "shared", workers.Workers(slots=2))
    polite = make("wasi")
    await run(polite, "exec", "x = 20")
    backends = [make("wasi") for _ in range(6)]
    spinning = [
        asyncio.ensure_future(run(backend, "exec", "while True: pass", fuel=10**15, timeout_s=600))
        for backend in backends
    ]
    while workers.shared.turns.waiting < 4:
        await asyncio.sleep(0.01)
    assert (await run(polite, "eval", "x + 1", timeout_s=600)).value == 21
    assert not any(task.done() for task in spinning)
    for task in spinning:
        task.cancel()
    await asyncio.wait(spinning)
    assert all(task.cancelled() for task in spinning)


async def test_a_call_whose_time_is_over_before_its_turn_loses_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not begun: its instance and variables stay."""
    monkeypatch.setattr(workers, "shared", workers.Workers(slots=1))
    python = make("wasi")
    await run(python, "exec", "import itertools\ncounter = itertools.count(5)\nnext(counter)")
    assert workers.shared.turns.take(lambda: False)
    with pytest.raises(LimitExceeded):
        await run(python, "eval", "next(counter)", timeout_s=0.01)
    workers.shared.turns.end()
    reply = await run(python, "eval", "next(counter)")
    assert (reply.value, reply.note) == (6, "")


async def test_what_a_thread_works_on_is_left_alone_until_it_is_done_with_it() -> None:
    """However often whoever waits for it is cancelled: others would work on the same."""
    threads = workers.Workers()
    begun, let_go = threading.Event(), threading.Event()
    done: list[bool] = []

    def work() -> None:
        begun.set()
        let_go.wait()
        done.append(True)

    waiting = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(begun.wait)
    for _ in range(3):
        waiting.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done == [True]
    threads.leave()
