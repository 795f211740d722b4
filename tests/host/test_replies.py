"""Every reply reaches the one who waits for it, once, whatever else goes on.

Fibers, replies, ticks, cancellations and snapshots meet in all orders here. Fuel stands for work: it
is exact, so that what should be linear can be measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, ProviderError, Result, Runtime
from rlm_wasm.execution import guest
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.protocol import GuestStatus
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

MANY = Limits(handles=60_000, calls=60_000, fuel=10**12, timeout_s=80)

BUSY = "(define (busy n) (if (> n 0) (busy (- n 1))))\n"


async def _value(program: str, limits: Limits = MANY) -> Any:
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime:
        result = await runtime.run(program)
        assert result.status == "ok", result.error
        return result.data


# ---- nothing is lost under load


async def test_a_race_beside_a_fan_out_loses_no_reply() -> None:
    """Cancelling the losers takes several slices, in which replies come."""
    program = """
    (define winner (spawn (lambda () (race (map (lambda (i) (lambda () (sleep (if (= i 7) 0.001 1000)) i))
                                                (range 500))))))
    (define texts (map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (range 300)))
    (list (await winner) (length texts) (car texts) (last texts))
    """
    assert await _value(program) == [7, 300, "[0]", "[299]"]


async def test_every_sleeper_of_a_loop_over_await_any_is_met_once() -> None:
    """Each turn of it gives one handle, and the list without it."""
    program = """
    (let loop ([left (map (lambda (i) (spawn (lambda () (sleep 0.001) i))) (range 8000))] [sum 0] [n 0])
      (if (null? left)
          (list n sum)
          (let-values ([(v rest) (await-any left)]) (loop rest (+ sum v) (+ n 1)))))
    """
    assert await _value(program) == [8000, sum(range(8000))]


async def test_fifty_thousand_calls_in_flight_are_all_answered() -> None:
    """In as many messages as it takes."""
    program = """
    (length (await-all (map (lambda (i) (llm-query-async #:instruction "x")) (range 50000))))
    """
    assert await _value(program) == 50_000


async def test_a_reply_that_comes_in_the_last_slice_is_there_for_the_next_execution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The program ended before it looked; the call was paid for."""
    monkeypatch.setattr(guest, "SLICE_STEPS", 1_000)
    for slices in range(12):
        gate = GatedProvider(bracketed)
        async with Runtime(provider=gate) as runtime, runtime.session() as session:
            program = BUSY + '(define h (llm-query-async #:instruction "q")) (busy 4000) 1'
            task = asyncio.create_task(session.execute(program))
            await gate.arrived(1)
            for _ in range(slices):
                await asyncio.sleep(0)
            gate.release_all()
            assert (await task).value == "1"
            result = await session.execute("(syntax-e (await h))")
            assert result.value == "[q]", (slices, result.error)


# ---- who waits, and no longer does


async def test_a_handle_that_await_any_left_wakes_nobody_out_of_another_wait(
    gated: Runtime, gate: GatedProvider
) -> None:
    """The second is settled while the program waits for a third."""
    program = """
    (define-values (v rest) (await-any (list (llm-query-async #:instruction "a") (llm-query-async #:instruction "b"))))
    (define c (llm-query #:instruction "c"))
    (list v (syntax-e c) (syntax-e (await (car rest))))
    """
    task = asyncio.create_task(gated.run(program))
    await gate.arrived(2)
    gate.release()
    await gate.arrived(2)
    gate.release()
    for _ in range(10):
        await asyncio.sleep(0)
    gate.release_all()
    assert (await task).data == ["[a]", "[c]", "[b]"]


@pytest.mark.parametrize(
    ("program", "value"),
    [
        # appended to in place, as append! may do
        (
            "(define-values (v rest) (await-any (list (spawn (lambda () 1)) (spawn (lambda () (sleep 1000) 2)))))"
            " (define-values (w more) (await-any (append! rest (list (spawn (lambda () 3))))))"
            " (list v w (length more))",
            [1, 3, 1],
        ),
        # taken out in place
        (
            "(define hs (map (lambda (i) (spawn (lambda () i))) (range 4)))"
            " (define-values (v rest) (await-any hs)) (set-cdr! rest (cddr rest))"
            " (define-values (w more) (await-any rest)) (define-values (x none) (await-any more))"
            " (list v w x none)",
            [0, 1, 3, []],
        ),
        # the same one twice
        (
            "(define h (spawn (lambda () 1))) (define-values (v rest) (await-any (list h h)))"
            " (define-values (w none) (await-any rest)) (list v w none)",
            [1, 1, []],
        ),
        # a window that slides: a new one in front of what was left
        (
            "(let loop ([left '()] [i 0] [sum 0]) (cond [(and (= i 20) (null? left)) sum]"
            " [(and (< i 20) (< (length left) 3)) (loop (cons (spawn (lambda () i)) left) (+ i 1) sum)]"
            " [else (let-values ([(v rest) (await-any left)]) (loop rest i (+ sum v)))]))",
            190,
        ),
        # one list again and again: what it gives does not depend on what was given before
        (
            "(define hs (map (lambda (i) (spawn (lambda () i))) (range 3)))"
            " (define (once) (let-values ([(v rest) (await-any hs)]) (list v (length rest))))"
            " (list (once) (once) (once))",
            [[0, 2], [0, 2], [0, 2]],
        ),
        # a failed one is raised, and the rest goes on
        (
            "(define bad (spawn (lambda () (error \"no\")))) (define good (spawn (lambda () 1)))"
            " (list (with-handlers ([exn:fail? exn-message]) (await-any (list bad good)))"
            " (let-values ([(v rest) (await-any (list good))]) v))",
            ["no", 1],
        ),
        # two fibers have one handle in their lists
        (
            "(define shared (spawn (lambda () (sleep 0) (sleep 0) 7)))"
            " (define (one i) (spawn (lambda () (let-values ([(v rest) (await-any (list shared))]) (+ v i)))))"
            " (await-all (list (one 1) (one 2)))",
            [8, 9],
        ),
        # a deadlock that was caught leaves no one behind to be woken
        (
            "(define a #f) (define b (spawn (lambda () (sleep 0) (await a)))) (set! a (spawn (lambda () (await b))))"
            " (define told (with-handlers ([exn:fail:deadlock? (lambda (e) 'deadlock)]) (await a)))"
            " (define killer (spawn (lambda () (cancel a) (cancel b) 1)))"
            " (list (symbol->string told) (syntax-e (llm-query #:instruction \"x\")) (await killer))",
            ["deadlock", "[x]", 1],
        ),
    ],
)  # fmt: skip
async def test_waiting_for_the_next_of_many(program: str, value: Any) -> None:
    """Lists that are made by await-any, by the program, and changed under its hands."""
    assert await _value(program) == value


async def test_a_fiber_that_is_cancelled_by_what_it_began_goes_no_further() -> None:
    """Nor one that cancels itself."""
    program = """
    (define went '())
    (define parent #f)
    (define child #f)
    (set! parent (spawn (lambda ()
      (set! child (spawn (lambda () (cancel parent) (set! went (cons 'child went)))))
      (await child)
      (set! went (cons 'parent went)))))
    (define own #f)
    (set! own (spawn (lambda () (cancel own) (set! went (cons 'own went)))))
    (sleep 0.001)
    (list (length went) (map handle-done? (list parent child own)))
    """
    assert await _value(program) == [0, [True, True, True]]


async def test_cancelling_reaches_all_that_was_begun(gate: GatedProvider) -> None:
    """Thousands of fibers, each with a fiber of its own that has a call in flight."""
    program = """
    (define root (spawn (lambda ()
      (await-all (map (lambda (i) (spawn (lambda () (await (spawn (lambda () (llm-query #:instruction "q")))))))
                      (range 1500))))))
    (llm-query #:instruction "first")
    (cancel root)
    (budget-remaining)
    (syntax-e (llm-query #:instruction "last"))
    """
    limits = Limits(concurrency=2_000, calls=2_000)
    async with Runtime(provider=gate, limits=limits) as runtime:
        task = asyncio.create_task(runtime.run(program))
        await gate.arrived(1501)
        gate.release(next(i for i, request in enumerate(gate.waiting) if request.instruction == "first"))
        while len(gate.cancelled) < 1500:
            await asyncio.sleep(0)
        await gate.arrived(1)
        gate.release_all()
        assert (await task).value == "[last]"
    assert [request.instruction for request in gate.cancelled] == ["q"] * 1500


@pytest.mark.parametrize(
    ("program", "place"),
    [
        ('(+ 1\n   (llm-query #:instruction "q"))', (2, 4)),
        (
            '(define h (llm-query-async #:instruction "q"))\n(define (f)\n  (list (await h)))\n(list (f))',
            (3, 9),
        ),
        ('(define h (llm-query-async #:instruction "q"))\n(list (await-all (list h)))', (2, 7)),
        ('\n(map-async (lambda (x) (llm-query-async #:instruction "q")) (list 1))', (2, 24)),
    ],
)
async def test_a_failed_call_has_the_place_where_it_was_awaited(program: str, place: tuple[int, int]) -> None:
    """Where no line of the program awaits it, in map-async's own fibers, it is where it was sent."""

    def fail(request: object) -> str:
        raise ProviderError("overloaded")

    async with Runtime(provider=InlineProvider(fail)) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert "overloaded" in error.message
    assert (error.line, error.column) == place


# ---- work is linear

LINEAR = {
    "race": "(race (map (lambda (i) (lambda () (sleep (if (= i 0) 0 1000)) i)) (range {n})))",
    "a race that all lose": (
        "(with-handlers ([exn:fail? exn-message]) (race (map (lambda (i) (lambda () (error \"no\"))) (range {n}))))"
    ),
    "await-any over fibers": (
        "(let loop ([left (map (lambda (i) (spawn (lambda () (sleep 0) i))) (range {n}))])"
        " (if (pair? left) (let-values ([(v rest) (await-any left)]) (loop rest))))"
    ),
    "await-any over calls": (
        '(let loop ([left (map (lambda (i) (llm-query-async #:instruction "x")) (range {n}))])'
        " (if (pair? left) (let-values ([(v rest) (await-any left)]) (loop rest))))"
    ),
    "await-any beside one that never comes": (
        "(define never (spawn (lambda () (sleep 1000))))"
        " (for ([i {n}]) (await-any (list (spawn (lambda () i)) never))) (cancel never)"
    ),
    "with-timeout around one that never comes": (
        "(define never (spawn (lambda () (sleep 1000)))) (define (late) #f)"
        " (for ([i {n}]) (define h (spawn (lambda () (await never)))) (sleep 0) (cancel h)) (cancel never)"
    ),
    "all wait for one, and are cancelled": (
        "(define never (spawn (lambda () (sleep 1000))))"
        " (define hs (map (lambda (i) (spawn (lambda () (await never)))) (range {n}))) (sleep 0)"
        " (for-each cancel hs) (cancel never)"
    ),
    "cancel a fiber with many of its own": (
        "(define root (spawn (lambda () (await-all (map (lambda (i) (spawn (lambda () (sleep 1000)))) (range {n}))))))"
        " (sleep 0) (sleep 0) (cancel root)"
    ),
    "await-all that fails": (
        "(with-handlers ([exn:fail? exn-message]) (await-all (cons (spawn (lambda () (sleep 0) (error \"no\")))"
        " (map (lambda (i) (spawn (lambda () (sleep 1000)))) (range {n})))))"
    ),
}  # fmt: skip


async def _fuel(program: str) -> int:
    async with Runtime(provider=InlineProvider(), limits=MANY) as runtime:
        result = await runtime.run(program)
        assert result.status == "ok", result.error
        return result.execution.fuel


@pytest.mark.parametrize("what", LINEAR)
async def test_an_item_costs_the_same_among_many(what: str) -> None:
    """Fuel an item, what the program itself takes aside."""
    nothing = await _fuel(LINEAR[what].format(n=1))
    few, some, many = [
        (await _fuel(LINEAR[what].format(n=n)) - nothing) / (n - 1) for n in (100, 1_000, 8_000)
    ]
    assert some / few < 1.5, (few, some, many)
    assert many / few < 1.5, (few, some, many)


# ---- every interleaving

Check = Callable[[Any], bool]

NEXT = "\n---\n"
"""Between two executions of a session."""


def _exactly(value: Any) -> Check:
    return lambda data: bool(data == value)


PROGRAMS: dict[str, tuple[str, Check]] = {
    "map-async beside computing fibers": (
        "(define hs (map (lambda (i) (spawn (lambda () (busy (* 300 i)) i))) (range 4)))"
        "(list (map-async (lambda (i) (busy 200) (llm-query-async #:instruction (number->string i))) (range 6)"
        " #:max-concurrent 3) (await-all hs))",
        _exactly([[f"[{i}]" for i in range(6)], [0, 1, 2, 3]]),
    ),
    "await-any until none is left": (
        '(let loop ([left (map (lambda (i) (llm-query-async #:instruction (number->string i))) (range 6))] [out \'()])'
        " (if (null? left) (sort out string<?)"
        "  (let-values ([(v rest) (await-any left)]) (busy 100) (loop rest (cons v out)))))",
        _exactly([f"[{i}]" for i in range(6)]),
    ),
    "a window that slides": (
        "(let loop ([left '()] [i 0] [out '()])"
        " (cond [(and (= i 7) (null? left)) (sort out string<?)]"
        "       [(and (< i 7) (< (length left) 3))"
        "        (loop (cons (llm-query-async #:instruction (number->string i)) left) (+ i 1) out)]"
        "       [else (let-values ([(v rest) (await-any left)]) (loop rest i (cons v out)))]))",
        _exactly([f"[{i}]" for i in range(7)]),
    ),
    "a race, and what goes on after it": (
        "(define ends 0)"
        " (define v (race (map (lambda (i) (lambda ()"
        "   (define inner (spawn (lambda () (llm-query #:instruction \"inner\") (busy 100) (set! ends (+ ends 1)) i)))"
        "   (llm-query #:instruction (number->string i)) (await inner))) (range 3))))"
        ' (define before ends) (busy 1000) (define c (syntax-e (llm-query #:instruction "after")))'
        " (list v c (= before ends))",
        lambda data: data[0] in (0, 1, 2) and data[1:] == ["[after]", True],
    ),
    "await-any, then other waits": (
        '(define (ask s) (llm-query-async #:instruction s)) (define-values (v rest) (await-any (list (ask "a") (ask "b") (ask "c"))))'
        ' (define d (syntax-e (llm-query #:instruction "d"))) (define-values (w more) (await-any rest))'
        ' (define e (map-async (lambda (s) (llm-query-async #:instruction s)) (list "e" "f")))'
        " (list (sort (append (list v w) (await-all more)) string<?) d e)",
        _exactly([["[a]", "[b]", "[c]"], "[d]", ["[e]", "[f]"]]),
    ),
    "a tree that is cancelled": (
        "(define n 0) (define (grow d) (spawn (lambda () (if (> d 0) (await-all (list (grow (- d 1)) (grow (- d 1)))))"
        " (llm-query #:instruction \"leaf\") (set! n (+ n 1)))))"
        ' (define root (grow 3)) (define a (syntax-e (llm-query #:instruction "a"))) (cancel root) (define at n) (busy 500)'
        ' (define b (syntax-e (llm-query #:instruction "b"))) (list a b (= n at))',
        _exactly(["[a]", "[b]", True]),
    ),
    "many wait for one": (
        '(define one (llm-query-async #:instruction "one"))'
        " (sort (await-all (map (lambda (i) (spawn (lambda () (busy (* i 50)) (syntax-e (await one))))) (range 6))) string<?)",
        _exactly(["[one]"] * 6),
    ),
    "timeouts that come at once, and never": (
        '(define (ask) (syntax-e (llm-query #:instruction "q")))'
        " (list (with-timeout 1000 ask) (with-timeout 0 ask (lambda () \"late\")) (ask))",
        lambda data: data[0] == data[2] == "[q]" and data[1] in ("[q]", "late"),
    ),
    "output in its order": (
        "(for-each (lambda (i) (display i) (busy 50)) (range 5))"
        ' (map-async (lambda (i) (busy 100) (llm-query-async #:instruction (number->string i))) (list 1 2))',
        _exactly(["[1]", "[2]"]),
    ),
    "calls that fail": (
        "(map-async (lambda (i) (busy 50) (llm-query-async #:instruction (number->string i))) (range 6)"
        ' #:max-concurrent 4 #:on-error "x")',
        lambda data: all(text in (f"[{i}]", "x") for i, text in enumerate(data)) and len(data) == 6,
    ),
    "the first failure of many, and what comes after it": (
        "(define (ask i) (llm-query-async #:instruction (number->string i)))"
        " (define (attempt) (with-handlers ([exn:fail? (lambda (e) '())]) (await-all (map ask (range 3)))))"
        " (define a (attempt)) (define b (attempt)) (list a b (budget-remaining)"
        ' (race (list (lambda () "y") (lambda () (sleep 1000)))))',
        lambda data: (
            data[0] in ([], ["[0]", "[1]", "[2]"])
            and data[1] in ([], ["[0]", "[1]", "[2]"])
            and data[3] == "y"
        ),
    ),
    "a race of calls that fail": (
        '(with-handlers ([exn:fail? (lambda (e) "all")])'
        " (race (map (lambda (i) (lambda () (syntax-e (llm-query #:instruction (number->string i))))) (range 4))))",
        lambda data: data in ("all", "[0]", "[1]", "[2]", "[3]"),
    ),
    "handles that the next execution awaits": (
        "(define hs (map (lambda (i) (llm-query-async #:instruction (number->string i))) (range 4)))"
        " (define f (spawn (lambda () (busy 300) (syntax-e (await (car hs)))))) (busy 400) 1"
        f"{NEXT}(define-values (v rest) (await-any hs)) (busy 300) 2"
        f"{NEXT}(list (sort (cons v (await-all rest)) string<?) (await f))",
        _exactly([["[0]", "[1]", "[2]", "[3]"], "[0]"]),
    ),
    "budgets": (
        "(parameterize ([token-budget 1000]) (map-async (lambda (i) (llm-query-async #:instruction (number->string i)))"
        " (range 4)) (token-budget))",
        _exactly(940),
    ),
}  # fmt: skip


class _Course:
    """One course of a program: what the provider, the event loop and the embedder do is chosen."""

    def __init__(self, choose: random.Random, *, failing: bool) -> None:
        self._choose = choose
        self._failing = failing
        self._moves = 0
        self._gate = GatedProvider(bracketed)
        self._runtime = Runtime(provider=self._gate)
        self._session = self._runtime.session()

    async def run(self, *programs: str) -> Result:
        """One execution after the other; the last one's result."""
        try:
            for program in programs:
                result = await self._execute(BUSY + program)
                assert result.status == "ok", result.error
            return result
        finally:
            await self._runtime.aclose()

    async def _execute(self, program: str) -> Result:
        choose = self._choose
        task = asyncio.create_task(self._session.execute(program))
        while not task.done():
            for _ in range(choose.choice((1, 1, 2, 5, 20))):
                await asyncio.sleep(0)
            self._answer_some()
            if self._moves < 3 and choose.random() < 0.05:
                task = await self._moved(task)
        return await task

    def _answer_some(self) -> None:
        gate, choose = self._gate, self._choose
        if gate.waiting and choose.random() < 0.5:
            for _ in range(choose.randint(1, len(gate.waiting))):
                with contextlib.suppress(asyncio.InvalidStateError):  # it is being cancelled
                    at = choose.randrange(len(gate.waiting))
                    if self._failing and choose.random() < 0.3:
                        gate.fail(ProviderError("overloaded"), at)
                    else:
                        gate.release(at)
        if self._failing and choose.random() < 0.1:
            self._session.cancel_call(choose.randint(1, 8))

    async def _moved(self, task: asyncio.Task[Result]) -> asyncio.Task[Result]:
        """The execution goes on in another runtime, from bytes."""
        self._moves += 1
        data = (await self._session.snapshot()).dump()
        if task.done():
            return task
        gate = GatedProvider(bracketed)
        other = Runtime(provider=gate)
        restored = await other.restore(data)
        if not restored.suspended:  # it was over by then, and the task has yet to say so
            await other.aclose()
            return task
        self._session.cancel()
        await task
        await self._runtime.aclose()
        self._gate, self._runtime, self._session = gate, other, restored
        return asyncio.create_task(restored.resume())


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(sorted(PROGRAMS)),
    steps=st.sampled_from([31, 53, 101, 307, 1_009, 10_007]),
    seed=st.integers(0, 2**32),
)
def test_every_order_of_slices_replies_and_moves_comes_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch, name: str, steps: int, seed: int
) -> None:
    """Nothing is lost, nothing comes twice, and it ends. A slice is longer than a switch between fibers."""
    monkeypatch.setattr(guest, "SLICE_STEPS", steps)
    program, right = PROGRAMS[name]

    async def course() -> Result:
        return await _Course(random.Random(seed), failing="fail" in name).run(*program.split(NEXT))

    result = asyncio.run(asyncio.wait_for(course(), 60))
    assert right(result.data), result.data
    if name.startswith("output"):
        assert result.stdout == "01234"


# ---- what is long comes in pieces

AT_ONCE = {
    "cancelling a fiber with many of its own": (
        "(define h (spawn (lambda () (await-all (map (lambda (i) (spawn (lambda () (sleep 1)))) (range 3000))))))"
        " (sleep 0) (sleep 5) (cancel h) 7"
    ),
    "cancelling the losers of a race": (
        "(race (cons (lambda () (sleep 5) 7) (map (lambda (i) (lambda () (sleep 1))) (range 3000))))"
    ),
    "a failure among many": (
        "(with-handlers ([exn:fail? (lambda (e) 7)]) (await-all (cons (spawn (lambda () (sleep 5) (error \"no\")))"
        " (map (lambda (i) (spawn (lambda () (sleep 1)))) (range 3000)))))"
    ),
    "delivering many replies": (
        "(define hs (map (lambda (i) (spawn (lambda () (sleep 5)))) (range 3000))) (await-all hs) 7"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", AT_ONCE)
def test_the_guest_takes_a_message_in_the_midst_of_long_work(what: str) -> None:
    """Within a few of its slices, though thousands of handles are concerned."""
    engine = Engine.shared()
    guest = Sandbox(engine, engine.image_size + (256 << 20))
    steps, slices, longest, unread = 5_000, 0, 0, False
    asked: list[int] = []
    message: bytes | None = protocol.evaluate(AT_ONCE[what], "program", {})
    while True:
        status = guest.run(message, steps, 1 << 50)
        for said in protocol.messages(guest.outbox()):
            if isinstance(said, protocol.Acknowledged):
                unread, slices = False, 0
            elif isinstance(said, protocol.Call) and protocol.decode(said.arguments)[0] == 5:
                asked.append(said.id)
            elif isinstance(said, protocol.Done):
                assert said.value == "7"
        if status == GuestStatus.DONE:
            break
        if status == GuestStatus.SUSPENDED:
            assert asked, "it waits for what is never answered"
            message = protocol.replies_of([protocol.encode([id_, True, None]) for id_ in asked])
            asked.clear()
            unread, slices = False, 0
        elif unread:
            message, slices = None, slices + 1
            longest = max(longest, slices)
        else:
            message, unread, slices = protocol.TICK, True, 0
    guest.close()
    assert longest < 40, f"{longest * steps:,} steps"
