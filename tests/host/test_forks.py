"""Forks: each goes its own way from the same point, and all of them spend from one budget."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Generator

import pytest

from rlm_wasm import Limits, Runtime, UsageError
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.sandbox.snapshot import MemoryImage, PackedImage
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed


class Paid(InlineProvider):
    """A dollar for a million tokens."""

    free = False

    @staticmethod
    def price(_model: str, prompt: int, completion: int) -> float:
        """See ProviderInfo."""
        return (prompt + completion) / 1_000_000


ASK = '(define a (syntax-e (llm-query #:instruction "vote"))) (finish (string-append a "!"))'


@pytest.mark.usefixtures("each_way")
async def test_forks_of_an_execution_each_ask_what_was_in_flight() -> None:
    """A call of its own for each, under a key of its own: votes are not one answer, counted twice."""
    gate = GatedProvider(lambda request: f"[{request.id}]")
    async with Runtime(gate) as runtime, runtime.session() as session:
        running = [asyncio.create_task(session.execute(ASK))]
        await gate.arrived(1)
        forks = await session.fork(3)
        assert [fork.suspended for fork in forks] == [True] * 3
        running += [asyncio.create_task(fork.resume()) for fork in forks]
        await gate.arrived(4)
        while gate.waiting:
            gate.release()
        values = {(await execution).value for execution in running}
        assert values == {"[1]!", "[2]!", "[3]!", "[4]!"}
        assert len({request.idempotency_key for request in gate.requests}) == 4
        assert session.calls_made == 4


@pytest.mark.parametrize("limits", [Limits(tokens=2_000), Limits(cost_usd=0.002)], ids=["tokens", "cost"])
async def test_forks_do_not_multiply_what_may_be_spent(limits: Limits) -> None:
    """Neither one after the other nor at once."""
    answers = Paid(bracketed)
    async with Runtime(answers, model="gpt-4o-mini", limits=limits) as runtime, runtime.session() as session:
        await session.execute('(define (ask) (syntax-e (llm-query #:instruction "q" #:max-tokens 100)))')
        program = "(let loop ([i 0]) (ask) (loop (+ i 1)))"
        assert (await session.execute(program)).status == "limit"
        alone = len(answers.requests)
        assert alone > 0
    answers.requests.clear()
    async with Runtime(answers, model="gpt-4o-mini", limits=limits) as runtime, runtime.session() as session:
        await session.execute('(define (ask) (syntax-e (llm-query #:instruction "q" #:max-tokens 100)))')
        forks = [session, *await session.fork(4)]
        results = await asyncio.gather(*(fork.execute(program) for fork in forks))
        assert {result.status for result in results} == {"limit"}
        assert len(answers.requests) <= alone


async def test_what_an_execution_used_is_its_own() -> None:
    """The session's figures are those of all forks together."""
    async with Runtime(InlineProvider()) as runtime, runtime.session() as session:
        await session.execute('(define (ask) (llm-query #:instruction "q"))')
        one, two = await session.fork(2)
        first, second = await asyncio.gather(one.execute("(ask) 1"), two.execute("(ask) (ask) 2"))
        assert (first.execution.calls, second.execution.calls) == (1, 2)
        assert {each.state()["used"]["calls"] for each in (session, one, two)} == {3}


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2"])
async def test_a_number_of_forks_that_is_none_is_refused(count: object) -> None:
    """Before anything is done."""
    async with Runtime("echo") as runtime, runtime.session() as session:
        with pytest.raises(UsageError, match="positive integer"):
            await session.fork(count)  # type: ignore[call-overload]
        assert runtime.sessions == [session]


# ---- fork-map: a program forks itself


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("(let ((n 0)) (list (fork-map (lambda (x) (set! n (+ n x)) n) '(1 2 3)) n))", "((1 2 3) 0)"),
        ("(define h (make-hash)) (fork-map (lambda (k) (hash-set! h k 1) (hash-count h)) '(a b)) (hash-count h)", "0"),
        ("(fork-map (lambda (x) (fork-map (lambda (y) (* x y)) '(1 2))) '(3 4))", "((3 6) (4 8))"),
        ("(fork-map (lambda (x) x) '())", "()"),
        ("(fork-map (lambda (x) (if (= x 1) (finish 'early) x)) '(1 2))", "(early 2)"),
        ("(define h (spawn (lambda () (sleep 5) 7))) (list (fork-map add1 '(1 2)) (await h))", "((2 3) 7)"),
        ("(parameterize ([current-output-port (open-output-string)]) (fork-map (lambda (x) (display x) x) '(1)))", "(1)"),
        (
            "(with-handlers ([exn:fail? (lambda (e) (exn-message e))]) (fork-map (lambda (x) (/ 1 x)) '(1 0)))",
            "fork-map: item 1: /: division by zero",
        ),
    ],
)  # fmt: skip
async def test_a_program_maps_over_forks_of_itself(runtime: Runtime, program: str, value: str) -> None:
    """Each goes on from the same point; what one changes no other sees, nor the program itself."""
    async with runtime.session() as session:
        result = await session.execute(program)
        assert (result.status, result.value) == ("ok", value), result.error
        assert (await session.execute("(+ 1 1)")).value == "2"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("(fork-map car 7)", "fork-map"),
        ("(fork-map 7 '(1))", "fork-map"),
        ('(fork-map (lambda (x) (error "no" x)) \'(1 2))', "fork-map: item 0: no 1"),
        ("(fork-map add1 (range 200000))", "the limit handles"),
        ("(define (down x) (fork-map down '(1))) (down 1)", "nested 32 deep"),
    ],
)
async def test_what_fork_map_refuses_is_a_condition(runtime: Runtime, program: str, said: str) -> None:
    """The first fork that fails, and what is no list of a bounded length."""
    async with runtime.session() as session:
        result = await session.execute(program)
        assert result.status == "error"
        assert said in str(result.error)
        assert (await session.execute("(+ 1 1)")).value == "2"


async def test_forks_of_a_program_use_its_limits() -> None:
    """Calls, fuel and time are those of the execution that forked."""
    asks = "(define (ask x) (syntax-e (llm-query #:instruction (number->string x)))) (fork-map ask (range 8))"
    async with Runtime(InlineProvider(), limits=Limits(calls=5)) as runtime, runtime.session() as session:
        result = await session.execute(asks)
        assert result.status == "limit"
        assert result.error is not None
        assert result.error.kind == "calls"
    spin = "(define (spin n) (if (= n 0) 0 (spin (- n 1)))) (fork-map (lambda (x) (spin 200000)) (range 8))"
    async with Runtime(InlineProvider()) as runtime, runtime.session() as session:
        fuel = (await session.execute(spin)).execution.fuel
        alone = (await session.execute("(spin 200000)")).execution.fuel
        assert fuel > 8 * alone * 0.9
    async with (
        Runtime(InlineProvider(), limits=Limits(fuel=fuel // 2)) as runtime,
        runtime.session() as session,
    ):
        result = await session.execute(spin)
        assert (result.status, result.error is not None and result.error.kind) == ("limit", "fuel")


async def test_forks_of_a_program_end_with_it() -> None:
    """A program that is cancelled, or that cancels the fiber that forked, leaves no call behind."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate) as runtime, runtime.session() as session:
        running = asyncio.create_task(
            session.execute('(fork-map (lambda (x) (llm-query #:instruction "q")) (range 3))')
        )
        await gate.arrived(3)
        session.cancel()
        assert (await running).status == "cancelled"
        while gate.waiting:
            await asyncio.sleep(0)
        assert (await session.execute("1")).value == "1"


@pytest.mark.usefixtures("each_way")
async def test_a_fork_has_the_log_of_its_session_and_goes_on_with_its_own(runtime: Runtime) -> None:
    """Whatever is looked at first, and however often it is forked on."""
    async with runtime.session() as session:
        await session.execute('(llm-query #:instruction "one")')
        before = session.scope_log()
        one, two = await session.fork(2)
        async with await one.fork() as below:
            await one.execute('(llm-query #:instruction "two")')
            await session.execute('(llm-query #:instruction "three")')
            assert below.scope_log() == two.scope_log() == before
            assert one.log_length == len(before) + 1
            assert one.scope_log()[:-1] == session.scope_log()[:-1] == before
        await one.aclose()
        await two.aclose()


@pytest.mark.usefixtures("each_way")
async def test_an_unchanged_session_is_copied_once_for_forks_that_live(runtime: Runtime) -> None:
    """And anew when it has run."""
    async with runtime.session() as session:
        await session.execute("(define x 1)")
        first, second = await session.snapshot(), await session.snapshot()
        assert first._memory is second._memory
        await session.execute("(set! x 2)")
        third = await session.snapshot()
        assert third.memory() != first.memory()
        async with await runtime.restore(first) as back:
            assert (await back.execute("x")).value == "1"


async def test_forks_of_a_session_that_sleeps_share_one_copy_of_its_memory(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unpacked once for all of them, and again when none of them has it any longer."""
    unpacked, original = [], PackedImage.unpacked

    def counted(self: PackedImage) -> Generator[None, None, MemoryImage]:
        unpacked.append(self)
        return (yield from original(self))

    monkeypatch.setattr(PackedImage, "unpacked", counted)
    async with runtime.session() as session:
        await session.execute("(define x (make-bytes 3000000 7))")
        session._scheduler.guest.sandbox.sleep()
        forks = [await session.fork() for _ in range(3)]
        assert len(unpacked) == 1
        assert not session._scheduler.guest.sandbox.is_awake
        for number, fork in enumerate(forks):
            assert (await fork.execute(f"(bytes-set! x 5 {number}) (bytes-ref x 5)")).value == str(number)
        async with await session.fork() as another:
            assert len(unpacked) == 1
            assert (await another.execute("(list (bytes-ref x 5) (bytes-length x))")).value == "(7 3000000)"
        for fork in forks:
            await fork.aclose()
        del forks, fork, another
        gc.collect()
        async with await session.fork() as another:
            assert (await another.execute("(bytes-ref x 5)")).value == "7"
        assert len(unpacked) == 2


async def test_a_session_that_is_forked_is_in_use_and_others_sleep_before_it(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its forks would each have to unpack what they begin with."""
    async with runtime.session() as session:
        await session.execute("(define x 7)")
        forks = [await session.fork()]
        await forks[0].execute("x")
        monkeypatch.setattr(Sandbox, "max_live", 2)
        for _ in range(5):
            forks.append(await session.fork())
            assert (await forks[-1].execute("x")).value == "7"
            assert session._scheduler.guest.sandbox.is_awake
        assert not forks[0]._scheduler.guest.sandbox.is_awake
        for fork in forks:
            assert (await fork.execute("x")).value == "7"
            await fork.aclose()


# ---- memory


MEMORY = Limits(memory_bytes=64 << 20)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to tell which pages were written")
@pytest.mark.parametrize(
    "first",
    [
        '(define large (make-string 40000000 #\\a)) "made"',
        "(let loop ((all '())) (loop (cons (make-string 1000 #\\a) all)))",
    ],
    ids=["half of it is in use", "it was used up once"],
)
async def test_forks_of_a_large_session_share_its_memory(first: str) -> None:
    """Together they may hold what one session may: what is the same in all of them is there once."""
    async with Runtime("echo", python="off", limits=MEMORY) as runtime, runtime.session() as session:
        made = await session.execute(first)
        assert made.value == "made" or (made.error is not None and made.error.kind == "memory_bytes")
        result = await session.execute(
            '(fork-map (lambda (n) (list n (syntax-e (llm-query #:instruction "x")))) (range 8))'
        )
        assert result.data == [[n, "x"] for n in range(8)], result.error


async def test_what_forks_write_of_the_memory_that_they_share_counts() -> None:
    """Else each of them could have as much as the session."""
    async with Runtime("echo", python="off", limits=MEMORY) as runtime, runtime.session() as session:
        await session.execute("(define large (make-string 25000000 #\\a))")
        program = '(fork-map (lambda (n) (string-fill! large #\\b) (llm-query #:instruction "x") (string-ref large n)) (range 8))'
        result = await session.execute(f"(guard (e (#t 'caught)) {program})")
        assert result.status == "limit"
        assert result.error is not None
        assert result.error.kind == "memory_bytes"
        assert (await session.execute("(string-ref large 5)")).value == "a"
        one = await session.execute(program.replace("(range 8)", "(range 1)"))
        assert one.status == "ok", one.error
