"""Spare instances: what was written becomes what it was, and who has much to do gets pages that are there already."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import c_uint64, string_at

import pytest

from rlm_wasm.sandbox import instance_pool, protocol, sandbox
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.instance import Instance
from rlm_wasm.sandbox.instance_pool import InstancePool
from rlm_wasm.sandbox.pages import PAGE, pristine_memory, written_runs
from rlm_wasm.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which pages were written")

FUEL = 4_000_000_000
LITTLE = "(define secret (make-string 20000 #\\S))"
MUCH = "(define secrets (let loop ([i 0] [l '()]) (if (= i 40) l (loop (+ i 1) (cons (make-string 100000 #\\S) l)))))"
MORE_THAN_THERE_IS = "(define secrets (make-string 40000000 #\\S))"


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> InstancePool:
    """One in which nothing is left from other tests."""
    pool = InstancePool()
    monkeypatch.setattr(sandbox, "_pool", pool)
    return pool


def ran(program: str) -> int:
    """Run it in a sandbox of its own, which is closed: the address of the memory that it had."""
    engine = Engine.shared()
    used = Sandbox(engine, engine.image_size + (64 << 20))
    instance = used._i
    assert instance is not None
    while used.run(protocol.evaluate(program, "program", {}), 10_000_000, FUEL) == sandbox.PREEMPTED:
        pass
    base = instance.base
    used.close()
    return base


def written(base: int) -> int:
    """Pages of an instance that hold memory of its own."""
    runs = written_runs(base, Engine.shared().image_size // PAGE)
    assert runs is not None
    return sum(count for _, count in runs)


def spare(pool: InstancePool) -> list[Instance]:
    """What it keeps."""
    return [instance for kinds in pool._kept.values() for kind in kinds for instance, _ in kind]


def is_new(base: int) -> bool:
    """Whether a spare instance's memory is that of a new one."""
    engine = Engine.shared()
    pristine, _ = pristine_memory(engine)
    return string_at(base, engine.image_size) == string_at(pristine, engine.image_size)


def test_after_a_session_with_much_to_do_the_next_one_finds_its_pages_there(pool: InstancePool) -> None:
    """A page that is touched for the first time costs more than setting one to zeros."""
    base = ran(MUCH)
    assert written(base) > 900
    assert is_new(base)
    assert ran(LITTLE) == base


def test_one_with_little_to_do_leaves_none_of_the_pages_behind_that_another_wrote(pool: InstancePool) -> None:
    """Whoever comes after it would set them to zeros, again and again."""
    base = ran(MUCH)
    assert ran(LITTLE) == base
    assert written(base) < 200
    assert is_new(base)


def test_each_kind_of_session_gets_the_kind_of_instance_that_the_last_one_left(pool: InstancePool) -> None:
    """What the last one needed is what the next one most likely needs."""
    engine = Engine.shared()
    held = Sandbox(engine, engine.image_size + (64 << 20))
    large = ran(MUCH)
    held.close()  # it did nothing
    small = ran(LITTLE)
    assert small != large
    assert ran(MUCH) == small
    assert ran(MUCH) in (small, large)
    assert is_new(small)
    assert is_new(large)


def test_what_grew_is_not_kept(pool: InstancePool) -> None:
    """A new instance has no such memory, and a program sees what there is by the fuel that it uses."""
    ran(MORE_THAN_THERE_IS)
    assert spare(pool) == []


def test_spare_instances_with_many_pages_are_bounded(
    pool: InstancePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was busy for a moment does not hold the memory for good."""
    monkeypatch.setattr(InstancePool, "max_large_pages", 1500)
    engine = Engine.shared()
    several = [Sandbox(engine, engine.image_size + (64 << 20)) for _ in range(3)]
    for each in several:
        each.run(protocol.evaluate(MUCH, "program", {}), 10_000_000, FUEL)
    for each in several:
        each.close()
    assert len(spare(pool)) == 1


def test_what_the_guest_says_of_its_pages_is_no_promise(pool: InstancePool) -> None:
    """One whose report was written over hands nothing of its memory on all the same."""
    engine = Engine.shared()
    for said in (0, 1 << 31):
        used = Sandbox(engine, engine.image_size + (64 << 20))
        used.run(protocol.evaluate(MUCH, "program", {}), 10_000_000, FUEL)
        instance = used._i
        assert instance is not None
        assert instance.report is not None
        base = instance.base
        instance.report.touched_end = said
        used.close()
        assert is_new(base)


def test_where_pages_cannot_be_dropped_the_instance_goes(
    pool: InstancePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made anew, then: never handed on as it is."""
    ran(MUCH)
    monkeypatch.setattr(instance_pool, "drop", lambda base, start, count: False)
    ran(LITTLE)
    assert spare(pool) == []


def test_nobody_can_take_an_instance_before_its_memory_is_a_new_ones(
    pool: InstancePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copying lets other threads run, and they take from the same pool."""
    found: list[int] = []
    copy = instance_pool.memmove

    def copied(to: int, start: int, count: int) -> None:
        found.append(len(spare(pool)))
        copy(to, start, count)

    monkeypatch.setattr(instance_pool, "memmove", copied)
    for program in (LITTLE, MUCH):
        ran(program)
        assert len(found) > 1
        assert set(found) == {0}
        assert spare(pool).pop() is not None
        pool._kept.clear()


def test_threads_that_take_and_give_back_at_once_never_share_an_instance(pool: InstancePool) -> None:
    """Each gets one of its own, whose memory is new, and none fails where another was quicker."""
    engine = Engine.shared()

    def work(mark: int) -> list[tuple[int, int]]:
        read = []
        for _ in range(50):
            instance = pool.acquire(engine, -1)
            word = c_uint64.from_address(instance.base + engine.image_size - PAGE)
            before, word.value = word.value, mark
            string_at(instance.base, 1 << 20)
            read.append((before, word.value))
            pool.release(engine, instance)
        return read

    with ThreadPoolExecutor(4) as threads:
        several = [threads.submit(work, mark) for mark in (1, 2, 3, 4)]
        for mark, work_done in enumerate(several, 1):
            assert set(work_done.result()) == {(0, mark)}
    assert all(is_new(instance.base) for instance in spare(pool))
