"""Loops that make LLM calls announce their turns, so that a report of the progress knows what is still to come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Progress, Runtime
from rlm_wasm.runlog.events import ItemsCounted, Record
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

CALL = '(llm-query #:instruction "q")'


async def items_of(program: str, **options: Any) -> list[tuple[int, int, int]]:
    """What a run tells of its items: announced, begun, done, each time that the machine pauses."""
    records: list[Record] = []
    async with Runtime(provider=InlineProvider(), log=records.append, **options) as runtime:
        result = await runtime.run(program)
        assert result.ok, result.error
    return [(r.announced, r.begun, r.done) for r in records if isinstance(r, ItemsCounted)]


async def test_the_total_is_known_from_the_first_call_on() -> None:
    gate = GatedProvider(bracketed)
    reports: list[Progress] = []
    program = f"(for/list ([x (list 1 2 3 4)]) (syntax-e {CALL}))"
    async with Runtime(provider=gate) as runtime:
        task = asyncio.create_task(runtime.run(program, on_progress=reports.append))
        for done in range(4):
            await gate.arrived(1)
            while not (reports and (reports[-1].done, reports[-1].running) == (done, 1)):
                await asyncio.sleep(0.01)
            assert (reports[-1].total, reports[-1].ahead) == (4, 3 - done)
            assert reports[-1].share == done / 4
            gate.release()
        await task
    assert (reports[-1].done, reports[-1].total, reports[-1].ahead) == (4, 4, 0)


@pytest.mark.parametrize(
    ("loop", "announced"),
    [
        (f"(for ([x (vector 1 2 3)]) {CALL})", 3),
        (f"(for/list ([c \"abcd\"]) {CALL})", 4),
        (f"(for/vector ([x 3]) {CALL})", 3),
        (f"(for/sum ([x (in-range 10 0 -3)]) {CALL} 1)", 4),
        (f"(for/hash ([(k v) (hash 1 2 3 4)]) (values k {CALL}))", 2),
        (f"(for ([k (in-hash-keys (hash 1 2 3 4))]) {CALL})", 2),
        (f"(for ([(x i) (in-indexed (list 1 2 3))]) {CALL})", 3),
        (f"(for ([x (in-set (set 1 2 3))]) {CALL})", 3),
        (f"(for ([x (bytes 1 2)]) {CALL})", 2),
        (f"(for/fold ([n 0]) ([x '(a b)]) {CALL} (+ n 1))", 2),
        (f"(for/lists (a b) ([x 2]) (values {CALL} 1))", 2),
        (f"(for/list ([x (list 1 2 3)] [i (in-naturals)] [y (list 1 2)]) {CALL})", 2),
        (f"(for*/list ([x (list 1 2 3)] [y (in-range 4)]) {CALL})", 12),
        (f"(define ys (list 1 2)) (for*/list ([x (list 1 2 3)] [y ys] [z 2]) {CALL})", 12),
        (f"(define-syntax-rule (each x xs) (for/list ([x xs]) {CALL})) (each y (list 1 2 3))", 3),
        ("(for/list ([x 3]) (cached-query \"q\" #:data (number->string x)))", 3),
        (f"(for/list ([i 4]) (race (list (lambda () {CALL}))))", 4),
        (f"(define (ask) {CALL}) (define (again) (ask)) (for ([x 3]) (again))", 3),
        (f"(fold-sequential (lambda (acc x) (syntax-e {CALL})) \"\" (list 1 2))", 2),
    ],
)  # fmt: skip
async def test_a_loop_announces_as_many_turns_as_are_certain(loop: str, announced: int) -> None:
    """Of nested clauses the product, where the inner ones cannot change; of clauses in step the shortest."""
    items = await items_of(loop)
    assert items[0][:2] == (announced, 1)
    assert items[-1] == (announced, announced, announced)


async def test_what_only_the_turns_tell_is_announced_as_it_comes() -> None:
    triangle = await items_of(f"(for*/list ([x (list 1 2 3)] [y (range x)]) {CALL})")
    assert triangle[0] == (3, 1, 0)
    assert triangle[-1] == (6, 6, 6)
    pulled = "(in-producer (let ([n 0]) (lambda () (set! n (+ n 1)) (and (< n 4) n))) #f)"
    assert await items_of(f"(for/list ([x {pulled}]) {CALL})") == [(n, n, n - 1) for n in (1, 2, 3)] + [
        (3, 3, 3)
    ]


@pytest.mark.parametrize(
    "program",
    [
        f"(for/list ([x 9] #:break (= x 2)) {CALL})",
        f"(for/list ([x 9] #:when (even? x)) {CALL})",
        f"(for*/list ([x 3] #:when (= x 1) [y 3]) {CALL})",
        f"(for/list ([x 9]) #:final (= x 2) {CALL})",
        f"(for/or ([x 9]) {CALL})",
        f"(for/first ([x 9]) {CALL})",
        f"(for/and ([x 9]) {CALL} #f)",
        f"(for/vector #:length 2 ([x 9]) {CALL})",
        f"(with-handlers ([exn:fail? void]) (for ([x 9]) {CALL} (error \"no\")))",
        f"(let/ec out (for ([x 9]) {CALL} (out 1)))",
        f"(with-handlers ([exn:fail? void]) (map-async (lambda (x) {CALL} (error \"no\")) (range 50) #:max-concurrent 2))",
        f"(race (list (lambda () (for ([x 9]) {CALL})) (lambda () {CALL})))",
        f"(race (list (lambda () (map-async (lambda (x) {CALL}) (range 50) #:max-concurrent 2)) (lambda () {CALL})))",
        f"(with-handlers ([exn:fail? void]) (await (spawn (lambda () (for ([x 9]) {CALL} (error \"no\"))))))",
    ],
)  # fmt: skip
async def test_what_will_not_come_is_taken_back(program: str) -> None:
    """After it nothing is ahead, so that the calls that follow are the whole total."""
    items = await items_of(f'{program} (llm-query #:instruction "after")')
    announced, begun, _ = items[-1]
    assert announced == begun
    assert max(item[0] for item in items) > begun or "#:when" in program


async def test_a_loop_that_is_entered_again_announces_its_rest_again() -> None:
    program = f"""
    (define again #f)
    (define out #f)
    (define seen '())
    (call/cc (lambda (k) (set! out k)
      (for ([x 4]) {CALL} (set! seen (cons x seen)) (call/cc (lambda (c) (set! again c) (if (= x 1) (k 0)))))))
    (define n (length seen))
    {CALL}
    (if (< n 4) (again 0))
    (reverse seen)
    """
    items = await items_of(program)
    assert items[-1][0] == items[-1][1] == items[-1][2]


@pytest.mark.parametrize(
    "program",
    [
        "(for/list ([x 100]) (* x x))",
        f"(define a {CALL}) (for/list ([x 100]) (string-length (syntax-e a)))",
        "(define hs (map (lambda (i) (llm-query-async #:instruction \"q\")) (range 3))) (for/list ([h hs]) (await h))",
        f"(for/list ([x (map-async (lambda (i) {CALL}) (range 0))]) x)",
        f"(define (f x) x) (define (g) {CALL}) (for/list ([x 3]) (f x))",
    ],
)  # fmt: skip
async def test_a_loop_that_makes_no_calls_announces_nothing(program: str) -> None:
    """Also one that awaits calls: those are in the total already."""
    assert await items_of(program) == []


async def test_a_loop_with_calls_gives_what_it_gave_and_fails_where_it_failed() -> None:
    program = f"""(define (check x)
  (error "bad" x))
(for/fold ([sum 0] #:result (list sum 'end)) ([x (list 1 2)])
  {CALL}
  (+ sum x))
(for/list ([x (list 1 2)])
  {CALL}
  (check x))"""
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program)
        assert result.error is not None
        assert (result.error.line, result.error.message) == (2, "bad 1")
        assert "the program (line 6, column 1)" not in (result.error.backtrace or ())
        assert not [frame for frame in result.error.backtrace or () if "%" in frame or "dynamic" in frame]
        assert (await runtime.run("\n".join(program.splitlines()[:5]))).data == [3, "end"]


SEQUENCE = st.sampled_from(["(list 1 2)", "(vector 1 2 3)", "2", "'()", "xs", "(range x)", "(in-range 1 4)"])
BETWEEN = st.sampled_from(
    ["", "", "#:when (even? x)", "#:unless (= x 2)", "#:break (= x 2)", "#:final (= x 1)"]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(SEQUENCE, BETWEEN), min_size=1, max_size=3), st.sampled_from(["for", "for*"]))
def test_no_count_goes_ahead_of_the_one_before_it_and_all_are_equal_in_the_end(
    clauses: list[tuple[str, str]], form: str
) -> None:
    """Announced, begun, done: whatever the clauses are, and whatever they leave out."""
    shown = " ".join(
        f"[{'xyz'[i]} {sequence if i or 'x' not in sequence else '(list 1 2)'}] {between}"
        for i, (sequence, between) in enumerate(clauses)
    )
    if form == "for":  # clauses in step see none of each other's variables
        shown = shown.replace("(range x)", "3")
    items = asyncio.run(items_of(f"(define xs (list 1 2 3)) ({form} ({shown}) {CALL}) (void)"))
    assert all(announced >= begun >= done for announced, begun, done in items)
    assert not items or items[-1][0] == items[-1][1] == items[-1][2]
