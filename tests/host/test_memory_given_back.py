"""A session that was large for a moment gives its memory back, and keeps what it holds."""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

from host.resting import rested
from rlm_wasm import Runtime
from rlm_wasm.execution import guest, scheduler
from rlm_wasm.sandbox import pages, sandbox

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives single pages back")


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pages went back, each time that some did."""
    given: list[int] = []
    original = pages.give_back

    def counted(base: int, used: bytes) -> Generator[None, None, int]:
        given.append((yield from original(base, used)))
        return given[-1]

    monkeypatch.setattr(sandbox, "give_back", counted)
    return given


@LINUX
async def test_pages_of_a_finished_evaluation_go_back_to_the_system(
    runtime: Runtime, given: list[int]
) -> None:
    """A string of 40 MiB that nothing refers to any longer takes no memory of the host's."""
    async with runtime.session() as session:
        await session.execute("(define keep (make-vector 1000 'x))")
        assert given == []  # a small one is not looked at
        grow = '(string-length (let loop ([s "abcdefghij"] [n 0]) (if (< n 22) (loop (string-append s s) (+ n 1)) s)))'
        assert (await session.execute(grow)).value == "41943040"
        assert given[0] * pages.PAGE >= 40 << 20
        assert (
            await session.execute("(list (vector-length keep) (vector-ref keep 999))")
        ).value == "(1000 x)"


@LINUX
async def test_heavy_evaluations_in_a_row_keep_their_memory_and_a_rest_after_a_light_one_gives_it_back(
    runtime: Runtime, given: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given after the first, after two more, after four more: the next one would fetch it again."""
    monkeypatch.setattr(scheduler, "HEAVY_FUEL", 1_000_000)
    monkeypatch.setattr(scheduler, "SETTLED_AFTER_S", 0)
    heavy = '(string-length (let loop ([s "abcdefghij"] [n 0]) (if (< n 20) (loop (string-append s s) (+ n 1)) s)))'
    async with runtime.session() as session:
        times = []
        for _ in range(9):
            await session.execute(heavy + " (for ([i 20000]) i)")
            times.append(len(given))
        assert times == [1, 1, 2, 2, 2, 2, 3, 3, 3]
        await session.execute("1")
        assert len(given) == 3  # nobody waits for that
        await rested(session)
        assert len(given) == 4
        await session.execute("1")
        await rested(session)
        assert len(given) == 4


@LINUX
async def test_what_is_in_use_is_never_given_back(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every execution, with collections between: all that was defined is as it was, in forks too."""
    monkeypatch.setattr(sandbox, "GIVE_BACK_FROM", 0)
    monkeypatch.setattr(scheduler, "HEAVY_FUEL", 0)
    monkeypatch.setattr(guest, "MAX_PATIENCE", 1)
    monkeypatch.setattr(pages, "_FREE", pages.re.compile(rb"\x00+"))
    async with runtime.session() as session:
        await session.execute(
            "(define table (make-hash)) (define (churn n) (for ([i n]) (make-vector 500 i)))"
        )
        for n in range(30):
            result = await session.execute(
                f"(hash-set! table {n} (list {n} (number->string {n}) (make-string 3000 #\\a) (vector {n})))"
                f" (churn {n * 40}) (define v{n} (make-vector {n * 100} {n}))"
            )
            assert result.ok, result.error
        check = (
            "(for/and ([n 30]) (let ([item (hash-ref table n)])"
            " (and (= (car item) n) (equal? (cadr item) (number->string n))"
            " (= (string-length (caddr item)) 3000) (equal? (cadddr item) (vector n)))))"
        )
        assert (await session.execute(check)).value == "#t"
        fork = await session.fork()
        assert (await fork.execute(check)).value == "#t"
        assert (await session.execute("(vector-ref v29 2899)")).value == "29"


async def test_where_the_system_has_no_such_call_nothing_happens(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow way is to keep the memory."""
    monkeypatch.setattr(pages, "_madvise", None)
    monkeypatch.setattr(sandbox, "GIVE_BACK_FROM", 0)
    assert pages.at_once(pages.give_back(0, bytes(100))) == 0
    async with runtime.session() as session:
        await session.execute("(define x (make-vector 100000 1))")
        assert (await session.execute("(vector-length x)")).value == "100000"
