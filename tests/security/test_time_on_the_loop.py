"""No session keeps the event loop: what takes long is cut into parts, and between them everybody has a turn.

Turns are counted, not seconds: with a turn after every part, work of so many parts leaves so many turns.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, SessionClosed
from rlm_wasm import turns as turns_module
from rlm_wasm.asking import loop as asking_loop
from rlm_wasm.execution import guest, meter, replay_log, requests
from rlm_wasm.extractive import provider, ranking
from rlm_wasm.extractive.provider import ExtractiveProvider
from rlm_wasm.llm import calls
from rlm_wasm.llm.programs import program_in
from rlm_wasm.providers.tokens import estimate_tokens, tokens_in_turns
from rlm_wasm.python.values import PairTable
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.testing import InlineProvider
from rlm_wasm.turns import in_turns

MIB = 1 << 20


class Answering:
    """Gives every call the same text, after a turn."""

    free = True

    def __init__(self, text: str) -> None:
        self._text = text

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer."""
        await asyncio.sleep(0)
        return Completion(text=self._text, model="m", prompt_tokens=1, completion_tokens=1)


@pytest.fixture(autouse=True)
def turn_after_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the machine is."""
    for place in ("turns", "execution.scheduler"):
        monkeypatch.setattr(f"rlm_wasm.{place}.TURN_S", 0.0)


@asynccontextmanager
async def neighbour() -> AsyncIterator[Callable[[], int]]:
    """Somebody who takes every turn that there is; how many those were."""
    turns = 0
    going = True

    async def take() -> None:
        nonlocal turns
        while going:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(take())
    try:
        yield lambda: turns
    finally:
        going = False
        await task


async def turns_during(
    program: str,
    *,
    context: str | None = None,
    provider: Any = None,
    functions: dict[str, Any] | None = None,
    status: str = "ok",
    **limits: Any,
) -> int:
    """The turns that a neighbour had while a program ran."""
    runtime = Runtime(
        provider=provider or InlineProvider(), limits=Limits(**limits), host_functions=functions or {}
    )
    async with runtime, runtime.session() as session:
        if context is not None:
            await session.load_context(context)
        async with neighbour() as turns:
            result = await session.execute(program)
            assert result.status == status, result.error
            return turns()


class Clock:
    """Time that passes only where a test says so, in place of the module ``time``."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


async def test_a_hundred_works_beside_each_other_share_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session's answers, each of megabytes, were encoded side by side: a turn of 5 ms for every one of them."""
    clock = Clock()
    monkeypatch.setattr(turns_module, "time", clock)
    monkeypatch.setattr(turns_module, "TURN_S", 0.005)

    def work(number: int) -> Generator[None, None, int]:
        for _ in range(10):
            clock.now += 0.001
            yield
        return number

    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = clock.now
            await asyncio.sleep(0)
            longest = max(longest, clock.now - before)

    watching = asyncio.create_task(watch())
    works = [asyncio.create_task(in_turns(work(number))) for number in range(100)]
    given_up = works[50:60]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    done = await asyncio.gather(*works, return_exceptions=True)
    watching.cancel()
    assert [number for number in done if isinstance(number, int)] == [*range(50), *range(60, 100)]
    assert longest <= 0.005 + 0.001 + 1e-9


async def test_the_answers_of_calls_that_come_at_once() -> None:
    """Each is encoded in parts; no turn has the parts of all of them."""
    program = """(length (await-all (map (lambda (i) (llm-query-async #:instruction "q")) (range 10))))"""
    turns_taken = await turns_during(program, provider=Answering("an answer " * 200_000), concurrency=10)
    assert turns_taken >= 10 * 2_000_000 // protocol._CHARACTERS_A_TURN


async def test_reading_lines_of_a_large_context() -> None:
    """A part for every quarter of a million characters."""
    turns = await turns_during("(length (context-lines 0 100000))", context="some words\n" * 600_000)
    assert turns >= 1_100_000 // calls._AT_ONCE


async def test_five_hundred_fibers_that_read_lines_of_one_context() -> None:
    """The lines are counted once, and each request leaves a turn."""
    program = "(await-all (map (lambda (i) (spawn (lambda () (length (context-lines 0 1))))) (range 500)))"
    assert await turns_during(program, context="some words\n" * 400_000) >= 500


async def test_a_search_for_what_is_not_there() -> None:
    """A part for every two million characters."""
    turns = await turns_during('(context-search "zzz")', context="some words\n" * 1_000_000)
    assert turns >= 11_000_000 // (1 << 21)


async def test_a_pattern_of_megabytes_is_refused() -> None:
    """To prepare the search for it is work before anything is compared."""
    program = "(context-search (make-string 100000 #\\a))"
    await turns_during(program, context="a" * 1_000_000, status="error")


async def test_arguments_of_many_parts() -> None:
    """A list of a hundred thousand empty lists for a host function: decoded in turns, and then counted in turns."""
    program = "(f (make-list 100000 '()))"
    turns = await turns_during(program, functions={"f": len})
    assert turns >= 100_000 // protocol._NODES_A_TURN + 100_000 // meter._COUNTED_AT_ONCE


async def test_arguments_of_too_many_parts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector of the host's Python would look at every one of them, again and again."""
    monkeypatch.setattr(protocol, "MAX_PARTS", 50_000)
    called: list[Any] = []
    program = "(guard (e (#t (condition/report-string e))) (f (make-list 100000 '())))"
    async with Runtime(provider=InlineProvider(), host_functions={"f": called.append}) as runtime:
        assert "50,000 parts" in (await runtime.run(program)).value
    assert called == []


async def test_a_result_of_many_parts() -> None:
    """It is decoded after the execution, in turns all the same."""
    turns = await turns_during("(make-list 200000 '())")
    assert turns >= 200_000 // protocol._NODES_A_TURN


async def test_a_result_of_too_many_parts_has_text_and_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every value that Python cannot take."""
    monkeypatch.setattr(protocol, "MAX_PARTS", 50_000)
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run("(make-list 100000 '())")
    assert result.ok
    assert result.value.startswith("(() ()")
    assert result.data is None


PROMPT = '(string-length (syntax-e (llm-query #:instruction "q" #:data (make-string 3000000 #\\é))))'


async def test_estimating_a_prompt_of_megabytes_under_a_ceiling() -> None:
    """Before it is sent."""
    turns = await turns_during(PROMPT, tokens=10**9)
    assert turns >= 3_000_000 // calls._AT_ONCE


def test_an_estimate_in_parts_is_the_estimate() -> None:
    """What is promised and what is set aside are the same."""
    text = "Some wörds, 123 – 漢字 🙂.\n" * 30_000
    parts = 0

    def counted() -> Generator[None, None, int]:
        nonlocal parts
        work = tokens_in_turns(text, "q")
        while True:
            try:
                yield next(work)
                parts += 1
            except StopIteration as stop:
                return int(stop.value)

    assert asyncio.run(in_turns(counted())) == estimate_tokens(text) + estimate_tokens("q")
    assert parts >= len(text) // calls._AT_ONCE


async def test_an_answer_of_megabytes() -> None:
    """Half characters in it are looked for in turns."""
    program = '(string-length (syntax-e (llm-query #:instruction "q")))'
    turns = await turns_during(program, provider=Answering("é\ud800" * 1_000_000))
    assert turns >= 2_000_000 // calls._AT_ONCE


async def test_a_json_answer_of_megabytes_is_refused() -> None:
    """Reading it is one piece of work, and no model's answer is as long."""
    provider = Answering("[" + "[]," * calls.MAX_JSON + "[]]")
    program = '(guard (e (#t (condition/report-string e))) (llm-query #:instruction "json" #:json #t))'
    async with Runtime(provider=provider) as runtime:
        assert "the most that is checked" in (await runtime.run(program)).value


async def test_an_answer_of_a_hundred_thousand_backticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program in it is looked for beside the loop, in time that is linear in the text."""
    looked: list[bool] = []

    def watched(text: str) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            looked.append(True)
        return program_in(text)

    monkeypatch.setattr(asking_loop, "program_in", watched)
    provider = Answering("```scheme\n" + "`(a) " * 20_000 + "\n")
    await turns_during('(llm-query #:instruction "q" #:recursive #t)', provider=provider)
    assert looked
    assert all(looked)


async def test_a_provider_that_computes_on_a_large_prompt_does_so_beside_the_loop() -> None:
    """One that answers on the spot is run on a thread where the prompt is large."""
    beside: list[bool] = []

    def answer(request: CompletionRequest) -> str:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            beside.append(True)
        return "x"

    async with Runtime(provider=InlineProvider(answer)) as runtime:
        await runtime.run('(llm-query #:instruction "q" #:data (make-string 1000000 #\\a))')
        assert beside == [True]
        await runtime.run('(llm-query #:instruction "q" #:data "small")')
        assert beside == [True]


async def test_a_loop_of_tiny_requests_leaves_turns() -> None:
    """However many of them fit into a slice."""
    turns = await turns_during("(for/sum ([i 3000]) (string-length (context-slice 0 1)))", context="text")
    assert turns >= 1_000


async def test_a_preview_of_what_is_no_text_is_short() -> None:
    """A list of a million is not printed to show eighty characters of it."""

    class Loud(list[int]):
        def __repr__(self) -> str:
            raise AssertionError("it was printed")

    from rlm_wasm.scope_log import ScopeLog

    log = ScopeLog()
    log.add("py-set!", Loud(range(10)), "host")
    log.add_from_guest({"op": [Loud()], "preview": {"a": Loud()}, "x": 1 << 100_000})
    assert log.entries()[1]["x"] == "a huge number"


# ---- messages of megabytes, either way

PIECES = 8
"""Turns for a text of that many mebibytes, at the least."""

LARGE = PIECES * MIB


async def test_an_argument_of_megabytes() -> None:
    """It is copied out of the guest, read and handed over piece by piece."""
    taken: list[str] = []
    turns = await turns_during(f"(f (make-string {LARGE} #\\a))", functions={"f": lambda s: taken.append(s)})
    assert turns >= 2 * PIECES
    assert taken == ["a" * LARGE]


async def test_a_byte_string_of_megabytes_as_an_argument() -> None:
    """The same for bytes, which are not decoded."""
    taken: list[bytes] = []
    turns = await turns_during(f"(f (make-bytevector {LARGE} 7))", functions={"f": lambda b: taken.append(b)})
    assert turns >= 2 * PIECES
    assert taken == [b"\x07" * LARGE]


@pytest.mark.parametrize(
    ("value", "measure"),
    [
        ("a" * LARGE, "string-length"),
        ("\u6f22" * (LARGE // 3), "string-length"),
        (b"a" * LARGE, "bytevector-length"),
        ([["a" * LARGE]], "length"),
        ({"a": "b" * LARGE}, "hash-count"),
        ([["a"] * 1000] * 200, "length"),
    ],
)
async def test_a_reply_of_megabytes(value: Any, measure: str) -> None:
    """However deep it is hidden: encoded in pieces, and put into the guest in pieces."""
    turns = await turns_during(f"({measure} (f))", functions={"f": lambda: value})
    assert turns >= PIECES


async def test_output_of_megabytes_comes_in_parts() -> None:
    """Who listens gets it in pieces, where the embedder allows output of that size."""
    parts: list[str] = []
    limits = Limits(output_bytes=2 * LARGE)
    async with (
        Runtime(provider=InlineProvider(), limits=limits) as runtime,
        runtime.session() as session,
        neighbour() as turns,
    ):
        result = await session.execute(
            f"(display (make-string {LARGE} #\\a))", on_output=lambda _stream, text: parts.append(text)
        )
        assert turns() >= PIECES
    assert result.stdout == "a" * LARGE == "".join(parts)
    assert max(map(len, parts)) <= protocol.IN_ONE_GO


async def test_a_value_of_megabytes() -> None:
    """What the program ends with, where the embedder allows results of that size."""
    assert await turns_during(f"(list (make-string {LARGE} #\\a))", output_bytes=4 * LARGE) >= 2 * PIECES


DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.text(max_size=5).filter(str.isascii), inner, max_size=6)
        | st.dictionaries(st.text(max_size=5).filter(str.isascii), inner, max_size=6).map(
            lambda table: PairTable(list(table.items()))
        )
    ),
    max_leaves=30,
)


@given(DATA)
def test_what_is_encoded_in_turns_is_what_is_encoded_at_once(value: Any) -> None:
    """Both decoders read both."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IN_ONE_GO", "_CHARACTERS_A_TURN", "_BYTES_A_TURN"):
            patch.setattr(protocol, name, 4)
        encoded = at_once(protocol.encode_in_turns(value))
        assert protocol.decode(encoded) == protocol.decode(protocol.encode(value))
        assert at_once(protocol.decode_in_turns(encoded)) == protocol.decode(encoded)


async def test_many_small_tables_within_each_other() -> None:
    """None of them is long, and all together are: turns are counted over the whole value."""
    nested = [{str(i): [{"k": [i, k]} for k in range(20)] for i in range(40)} for _ in range(40)]
    source = '(length (hash-ref (list-ref (nested) 39) "39"))'
    turns = await turns_during(source, functions={"nested": lambda: nested})
    assert turns >= 100


async def test_a_table_of_pairs_of_another_kind_than_a_dict() -> None:
    """As Python's tables come, whose keys may be anything: encoded in turns, and whole."""
    pairs = PairTable([(number, [number]) for number in range(30_000)])
    turns = await turns_during("(length (hash-ref (pairs) 29999))", functions={"pairs": lambda: pairs})
    assert turns >= 30


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    st.integers(4_000, 13_000),
    st.integers(0, 3),
)
def test_a_long_text_goes_through_the_guest_unchanged(part: str, length: int, tail: int) -> None:
    """The guest writes and reads it in parts of some thousand characters, wherever a character ends."""
    text = (part * length)[:length] + "\u00e9\u6f22\U0001f642"[:tail]
    seen: list[str] = []

    async def through() -> None:
        async with Runtime(
            provider=InlineProvider(), host_functions={"f": lambda: text, "g": seen.append}
        ) as rt:
            assert (await rt.run("(let ([s (f)]) (g s) (string-length s))")).value == str(len(text))

    asyncio.run(through())
    assert seen == [text]


# ---- the memory of a large session

FILLED = "(define v (make-vector 1000000 1))"


async def test_the_image_before_the_next_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    """An execution that did more than a rollback may do again is followed by a copy of the memory: piece by piece."""
    monkeypatch.setattr(replay_log, "_MOST_FUEL", 10_000_000)
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        await session.execute(FILLED + "(for ([i 1000000]) (vector-set! v i i))")
        async with neighbour() as turns:
            assert (await session.execute("(vector-ref v 77)")).value == "77"
            assert turns() >= 6


async def test_going_back_after_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory as it was is written into a fresh instance in turns, and the program's changes are undone."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        await session.execute(FILLED + "(for ([i 1000000]) (vector-set! v i i))")
        await session.execute("1")
        monkeypatch.setattr(guest, "SLICE_FUEL", 10_000)
        async with neighbour() as turns:
            result = await session.execute("(vector-set! v 77 0) (let loop () (loop))")
            assert result.rolled_back
            monkeypatch.undo()
            assert (await session.execute("(vector-ref v 77)")).value == "77"
            assert turns() >= 6


async def test_snapshot_fork_and_restore_of_a_large_session() -> None:
    """Each leaves turns, and none changes what the session holds."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        await session.execute(FILLED + "(for ([i 1000000]) (vector-set! v i i))")
        async with neighbour() as turns:
            snapshot = await session.snapshot()
            assert turns() >= 6
        async with neighbour() as turns:
            back = await runtime.restore(snapshot.dump())
            assert (await back.execute("(apply + (vector->list v 0 1000))")).value == "499500"
            assert turns() >= 12


MOVING = """
(define v (make-vector 400000 1))
(let loop ([n 0] [i 0])
  (when (< n 60000)
    (let ([j (modulo (+ i 199999) 400000)])
      (vector-set! v i (- (vector-ref v i) 1)) (vector-set! v j (+ (vector-ref v j) 1))
      (loop (+ n 1) (modulo (+ i 7919) 400000)))))
(for/sum ([x v]) x)
"""


async def test_a_snapshot_that_is_taken_in_turns_is_of_one_moment() -> None:
    """The program waits meanwhile: from each of many moments it goes on to the same end."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        running = asyncio.create_task(session.execute(MOVING))
        snapshots = []
        while not running.done() and len(snapshots) < 12:
            for _ in range(5 * len(snapshots)):
                await asyncio.sleep(0)
            snapshots.append(await session.snapshot())
        assert (await running).value == "400000"
        suspended = [snapshot for snapshot in snapshots if snapshot.suspended]
        assert len(suspended) >= 3
        for snapshot in suspended:
            async with await runtime.restore(snapshot) as back:
                assert (await back.resume()).value == "400000"


async def test_a_session_that_is_closed_while_a_snapshot_is_taken() -> None:
    """Whoever wanted the snapshot is told so; nothing is read from memory that is gone."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        await session.execute(FILLED)
        taking = asyncio.create_task(session.snapshot())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        session._scheduler.close()
        await session.aclose()
        with pytest.raises(SessionClosed):
            await taking


async def test_an_execution_that_is_cancelled_while_its_image_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session is as usable as before, and what it held is there."""
    monkeypatch.setattr(replay_log, "_MOST_FUEL", 10_000_000)
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        await session.execute(FILLED + "(for ([i 1000000]) (vector-set! v i i))")
        task = asyncio.create_task(session.execute("(vector-set! v 1 'changed)"))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await session.execute("(vector-ref v 1)")).value == "1"


async def test_tens_of_thousands_of_definitions() -> None:
    """A session of megabytes is not asked while everybody waits; asked in turns, it says them all."""
    program = '(for ([i 30000]) (eval (list \'define (string->symbol (format "v~a" i)) 1)))'
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        await session.execute(program)
        assert session.state()["variables"] is None
        async with neighbour() as turns:
            names = await session.definitions()
            assert len(names) == 30_000
            assert turns() >= 2
        assert session.state()["variables"] == names


# ---- the provider that is built in


def test_a_text_that_is_looked_at_in_blocks_has_the_same_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block ends, a term and a line are found all the same."""
    text = "The quick error of the day\nwas found in line 17. Nobody looked.\n" * 40 + "An error at the end"
    whole = ranking.rank(text, ("error", "line"), ("looked",))
    monkeypatch.setattr(ranking, "_BLOCK", 50)
    assert ranking.rank(text, ("error", "line"), ("looked",)) == whole
    assert len(whole) > 80


async def test_a_text_that_nobody_waits_for_is_looked_at_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is cancelled leaves no thread behind that goes on for seconds."""
    begun, ended = threading.Event(), threading.Event()
    real = ranking._count

    def counted(text: str, part: str) -> int:
        begun.set()
        try:
            while True:
                real(text, part)
        finally:
            ended.set()

    monkeypatch.setattr(ranking, "_count", counted)
    request = CompletionRequest(id=1, instruction="Find the error", data="an error " * 100_000)
    task = asyncio.create_task(ExtractiveProvider().complete(request))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 60)


@pytest.mark.parametrize("part", [" \n", "one of a/", "with keys a, ", "- ", "task: \n"])
def test_an_instruction_that_patterns_find_hard_is_cut(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pattern ever sees more of it than a page."""
    seen: list[int] = []
    real = provider.read_instruction

    def watched(text: str, *, json: bool) -> Any:
        seen.append(len(text))
        return real(text, json=json)

    monkeypatch.setattr(provider, "read_instruction", watched)
    provider.answer(CompletionRequest(id=1, instruction=part * 100_000, data="x"))
    assert seen == [provider._INSTRUCTION + 1]


# ---- sessions below a session


@asynccontextmanager
async def slices_a_turn(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], int]]:
    """The most slices of guests that one turn of the loop had."""
    counted: dict[int, int] = {}
    run = guest.Guest.run
    async with neighbour() as turns:

        def counting(self: guest.Guest, given: bytes | int | None) -> int:
            counted[turns()] = counted.get(turns(), 0) + 1
            return run(self, given)

        monkeypatch.setattr(guest.Guest, "run", counting)
        yield lambda: max(counted.values())


SPINNING = "(let loop ([i 0]) (if (< i 200000) (loop (+ i 1)) i))"


@pytest.mark.parametrize(
    "program",
    [
        f"(fork-map (lambda (x) {SPINNING}) (range 20))",
        f"(fork-map (lambda (x) (fork-map (lambda (y) {SPINNING}) (range 4))) (range 4))",
        '(map-async (lambda (i) (llm-query-async #:instruction "q" #:recursive #t)) (range 20))',
    ],
)
async def test_children_and_forks_have_together_as_much_of_a_turn_as_one_session(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of twenty had a slice in every turn of the loop, which took twenty times as long."""
    provider = Answering(f"```scheme\n(finish {SPINNING})\n```")
    async with (
        Runtime(provider=provider) as runtime,
        runtime.session() as session,
        slices_a_turn(monkeypatch) as most,
    ):
        assert (await session.execute(program)).ok
        assert most() <= 2  # one before the neighbour's step, and the next turn's after it


async def test_a_thousand_forks_are_begun_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand of them were begun in one turn, and held the loop for five seconds."""
    async with (
        Runtime(provider=InlineProvider()) as runtime,
        runtime.session() as session,
        slices_a_turn(monkeypatch) as most,
    ):
        assert (await session.execute("(length (fork-map (lambda (x) x) (range 1000)))")).value == "1000"
        assert most() <= 2


async def test_thousands_of_requests_that_nobody_wants_any_more_are_cancelled_in_turns() -> None:
    """The tasks of them all ended in one turn of the loop."""
    ended: list[int] = []
    begun, all_begun = 0, asyncio.Event()

    async with neighbour() as turns:

        async def wait() -> None:
            nonlocal begun
            begun += 1
            if begun == 3000:
                all_begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(turns())

        functions: dict[str, Any] = {"wait": wait, "begun": all_begun.wait}
        runtime = Runtime(provider=InlineProvider(), host_functions=functions)
        async with runtime, runtime.session() as session:
            program = "(for ([i 3000]) (spawn (lambda () (wait)))) (begun) (finish 1)"
            assert (await session.execute(program)).value == "1"
            while len(ended) < 3000:
                await asyncio.sleep(0)
    assert max(ended.count(turn) for turn in set(ended)) <= 2 * requests._CANCELLED_AT_ONCE
