"""What a program makes the host hold is counted, bounded by ``host_bytes``, and named when that fires."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, Result, Runtime, Session
from rlm_wasm.capabilities.checkpoints import KEY_BYTES, MemoryStore
from rlm_wasm.capabilities.contexts import Contexts
from rlm_wasm.data import Box, ImproperList, Struct
from rlm_wasm.errors import Unencodable
from rlm_wasm.execution.meter import footprint
from rlm_wasm.llm.calls import MAX_MODEL_NAME
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.protocol import Encoded
from rlm_wasm.scope_log import ScopeLog
from rlm_wasm.testing import GatedProvider, InlineProvider

MIB = 1 << 20
PNG = b"\x89PNG\r\n\x1a\n" + bytes(2 * MIB)


def peak(session: Session) -> int:
    """The most that was held for it at once."""
    return session._parts.meter.peak


def fired(result: Result) -> str | None:
    """The limit that ended it."""
    return result.error.kind if result.status == "limit" and result.error is not None else None


# ---- requests and replies


async def test_a_thousand_slices_of_two_megabytes() -> None:
    """Replies are made as fast as they are taken, and no faster."""
    program = "(await-all (map (lambda (i) (spawn (lambda () (string-length (context-slice 0 200000))))) (range 1000)))"
    limits = Limits(memory_bytes=32 * MIB, host_bytes=16 * MIB, timeout_s=30)
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime, runtime.session() as session:
        await session.load_context("x" * 200_000)
        result = await session.execute(program)
        # How many replies the guest is given at once is the clock's to say, and whether it has room for them.
        assert result.status == "ok" or fired(result) == "memory_bytes", result.error
        assert peak(session) < 8 * MIB
        assert session.state()["used"]["host_bytes"] == 0


async def test_hundreds_of_requests_for_the_lines_of_one_context() -> None:
    """One at a time is in memory; the others wait undone."""
    program = (
        "(await-all (map (lambda (i) (spawn (lambda () (length (context-lines 0 20000))))) (range 100)))"
    )
    limits = Limits(host_bytes=32 * MIB, timeout_s=60)
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime, runtime.session() as session:
        await session.load_context("some words of a line\n" * 20_000)
        result = await session.execute(program)
        assert result.status == "ok", result.error
        assert peak(session) < 8 * MIB


def test_millions_of_short_lines_never_stand_in_memory_as_texts() -> None:
    """Each would take fifty bytes: they are encoded part by part."""
    contexts = Contexts()
    contexts.load("ab\n" * 2_000_000, None)
    tracemalloc.start()
    try:
        work = contexts._found_lines(contexts._find(None), 0, 2_000_000)
        while True:
            try:
                next(work)
            except StopIteration as stop:
                found = stop.value
                break
        assert isinstance(found, Encoded)
        assert sum(map(len, found.parts)) == 5 + 3 * 2_000_000
        assert tracemalloc.get_traced_memory()[1] < 40 * MIB
    finally:
        tracemalloc.stop()


async def test_eighty_queued_calls_that_share_one_large_text() -> None:
    """Each has its own copy in the host, and the limit is named."""
    program = '(define d (make-string 1000000 #\\a)) (map (lambda (i) (llm-query-async #:instruction "q" #:data d)) (range 80))'
    limits = Limits(host_bytes=16 * MIB)
    async with Runtime(provider=GatedProvider(), limits=limits) as runtime, runtime.session() as session:
        result = await session.execute(program + " (sleep 100)")
        assert fired(result) == "host_bytes"
        assert result.error is not None
        assert result.error.limit == 16 * MIB
        assert "host_bytes" in result.error.message
        assert peak(session) <= 16 * MIB
        assert session.state()["used"]["host_bytes"] == 0
        assert (await session.execute("(+ 1 2)")).value == "3"


async def test_what_was_decoded_is_held_once() -> None:
    """Not as what was sent and as what it became: ten calls of a megabyte are ten megabytes."""
    gate = GatedProvider()
    program = (
        "(define d (make-string 1000000 #\\a))"
        ' (map (lambda (i) (llm-query-async #:instruction "q" #:data d)) (range 10)) (sleep 100)'
    )
    runtime = Runtime(provider=gate, limits=Limits(host_bytes=16 * MIB))
    async with runtime, runtime.session() as session:
        task = asyncio.create_task(session.execute(program))
        await gate.arrived(10)
        assert 10_000_000 < session.state()["used"]["host_bytes"] < 10_100_000
        session.cancel()
        await task


async def test_a_text_with_one_wide_character_takes_four_bytes_for_each() -> None:
    """What is held is what the host's Python takes, not what was sent."""
    program = (
        '(define d (string-append (make-string 1000000 #\\a) "🙂"))'
        ' (map (lambda (i) (llm-query-async #:instruction "q" #:data d)) (range 10)) (sleep 100)'
    )
    limits = Limits(host_bytes=32 * MIB)
    async with Runtime(provider=GatedProvider(), limits=limits) as runtime:
        assert fired(await runtime.run(program)) == "host_bytes"


async def test_a_list_of_empty_lists_takes_seventy_times_what_was_sent() -> None:
    """Sixty of them wait in a host function: held as what they take."""

    async def wait(_list: Any) -> None:
        await asyncio.sleep(1000)

    program = "(define l (make-list 60000 '())) (await-all (map (lambda (i) (spawn (lambda () (wait l)))) (range 60)))"
    limits = Limits(host_bytes=64 * MIB)
    runtime = Runtime(provider=InlineProvider(), limits=limits, host_functions={"wait": wait})
    async with runtime, runtime.session() as session:
        result = await session.execute(program)
        assert fired(result) == "host_bytes"
        assert peak(session) <= 64 * MIB


def test_the_footprint_is_what_a_value_takes() -> None:
    """By the interpreter's own figures."""
    value = [[[]] * 10, "é" * 100, "🙂" * 100, {"a": b"x" * 1000}, 1 << 1000]
    assert footprint(value) >= sum(map(sys.getsizeof, (value, "é" * 100, "🙂" * 100, b"x" * 1000)))
    assert footprint("🙂" * 1000) > 4000
    text = "x" * 1000
    for inner in (frozenset({text}), Box(text), ImproperList((text,), 1), Struct("p", {"field": text})):
        assert footprint([inner]) > footprint([]) + sys.getsizeof(text) + sys.getsizeof(inner)


async def test_replies_that_a_later_execution_takes_are_held_until_it_ends() -> None:
    """They are kept for a rollback: a thousand of them are a gigabyte that nobody counted."""

    class Long:
        free = True

        async def complete(self, request: CompletionRequest) -> Completion:
            await asyncio.sleep(0)
            return Completion(text="x" * 1_000_000, model="m")

    start = '(define hs (map (lambda (i) (llm-query-async #:instruction "q")) (range 60)))'
    limits = Limits(host_bytes=32 * MIB, memory_bytes=512 * MIB)
    async with Runtime(provider=Long(), limits=limits) as runtime, runtime.session() as session:
        assert (await session.execute(start)).ok
        result = await session.execute("(for-each await hs)")
        assert fired(result) == "host_bytes"
        assert session.state()["used"]["host_bytes"] == 0


async def test_images_are_read_when_they_are_sent_and_held_while_they_are(tmp_path: Path) -> None:
    """A hundred calls that wait hold nothing but the file's name; those under way their bytes."""
    (tmp_path / "a.png").write_bytes(PNG)
    gate = GatedProvider()
    program = '(map (lambda (i) (llm-query-async #:instruction "q" #:image "a.png")) (range 100)) (sleep 100)'
    runtime = Runtime(provider=gate, workspace=tmp_path, limits=Limits(concurrency=3, host_bytes=64 * MIB))
    async with runtime, runtime.session() as session:
        task = asyncio.create_task(session.execute(program))
        await gate.arrived(3)
        assert 3 * len(PNG) < session.state()["used"]["host_bytes"] < 5 * len(PNG)
        session.cancel()
        await task
        assert session.state()["used"]["host_bytes"] == 0
    async with Runtime(provider=gate, workspace=tmp_path, limits=Limits(host_bytes=4 * MIB)) as runtime:
        assert fired(await runtime.run(program)) == "host_bytes"


# ---- the log, reports, errors


async def test_model_names_of_megabytes_reach_nothing() -> None:
    """Neither the log nor a report nor the provider."""
    provider = InlineProvider()
    program = '(llm-query #:instruction "q" #:model (make-string 1000000 #\\m))'
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        result = await session.execute(program)
        assert result.status == "error"
        assert str(MAX_MODEL_NAME) in str(result.error)
        assert provider.requests == []
        assert len(repr(session.scope_log())) < 10_000


async def test_the_name_of_a_model_that_answered_is_cut() -> None:
    """It is the server's word, and stands in every line of the log."""

    def answer(request: CompletionRequest) -> Completion:
        name = f"{len(provider.requests)}" + "m" * 1_000_000
        return Completion(text="x", model=name, rate_limits={"remaining": 1})

    provider = InlineProvider(answer)
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        assert (await session.execute('(for-each (lambda (i) (llm-query #:instruction "q")) (range 150))')).ok
        assert len(repr(session.scope_log())) < 150 * 1_000
        assert len(session._calls.rate_limits) <= 100


def test_the_log_counts_what_its_entries_take() -> None:
    """Whatever a guest writes into them."""
    log = ScopeLog(1 * MIB)
    tracemalloc.start()
    try:
        for number in range(5_000):
            fields = {f"f{i}": ["🙂" * 80] * 16 for i in range(16)}
            log.add_from_guest({"op": "x", "preview": f"{number}" + "🙂" * 80, **fields})
        assert tracemalloc.get_traced_memory()[1] < 3 * MIB
    finally:
        tracemalloc.stop()
    assert log.forgotten > 4_000


@pytest.mark.parametrize(
    "program",
    [
        "(eval (string->symbol (make-string 1000000 #\\q)))",
        "((eval (string->symbol (make-string 1000000 #\\q))) 1)",
        "(error (make-string 1000000 #\\q) (make-string 1000000 #\\q))",
        '(apply error "x" (make-list 10000 (make-string 1000 #\\q)))',
        "(raise (make-string 1000000 #\\q))",
        "(car (make-string 1000000 #\\q))",
    ],
)
async def test_an_error_is_no_way_to_fill_the_host(program: str) -> None:
    """Its message, irritants, hint and backtrace are each cut."""
    async with Runtime(provider=InlineProvider(), limits=Limits(output_bytes=10_000)) as runtime:
        result = await runtime.run(program)
    error = result.error
    assert error is not None
    assert len(error.hint or "") < 1_100
    assert len(error.type) < 1_100
    assert len(error.irritants) <= 100
    assert all(len(frame) < 1_100 for frame in error.backtrace)
    assert len(repr(error)) < 300_000


async def test_a_flood_on_standard_error_is_cut_in_the_result_and_in_reports() -> None:
    """A report holds what fits, and says how much was cut."""
    shown: list[int] = []
    program = "(for-each (lambda (i) (display (make-string 100000 #\\e) (current-error-port))) (range 200))"
    async with Runtime(provider=InlineProvider(), limits=Limits(output_bytes=10_000)) as runtime:
        result = await runtime.run(program, on_progress=lambda report: shown.append(len(report.stderr)))
    assert result.ok
    assert len(result.stderr) < 10_100
    assert max(shown) < 70_000


# ---- checkpoints


async def test_twenty_checkpoints_of_megabytes() -> None:
    """The namespace is full at some point, and a program can see why."""
    program = (
        "(define d (make-string 1000000 #\\a)) (guard (e (#t (condition/report-string e)))"
        " (for-each (lambda (i) (checkpoint (number->string i) d)) (range 20)))"
    )
    store = MemoryStore()
    limits = Limits(checkpoint_bytes=5 * MIB)
    async with Runtime(provider=InlineProvider(), store=store, limits=limits) as runtime:
        assert "checkpoint_bytes" in (await runtime.run(program)).value
        assert 4 * MIB < await store.size("default") <= 5 * MIB
        async with runtime.session(namespace="another") as other:
            assert (await other.execute('(checkpoint "k" 1)')).ok


async def test_a_key_without_a_value_is_not_free() -> None:
    """A million of them would be a gigabyte of names."""
    program = "(let loop ((i 0)) (checkpoint (string-append (make-string 1000 #\\k) (number->string i)) 0) (loop (+ i 1)))"
    store = MemoryStore()
    limits = Limits(checkpoint_bytes=1 * MIB)
    async with Runtime(provider=InlineProvider(), store=store, limits=limits) as runtime:
        result = await runtime.run(program)
        assert "checkpoint_bytes" in str(result.error)
        assert len(await store.keys("default")) < MIB // (KEY_BYTES + 4_000)


async def test_checkpoints_at_once_count_like_checkpoints_in_turn() -> None:
    """What two of them look at does not change in between, however long the store takes."""

    class Slow(MemoryStore):
        async def size(self, namespace: str) -> int:
            size = await super().size(namespace)
            await asyncio.sleep(0)
            return size

    store = Slow()
    program = (
        "(define d (make-string 100000 #\\a)) (await-all (map (lambda (i) (spawn (lambda ()"
        " (guard (e (#t 'full)) (checkpoint (number->string i) d) 'kept)))) (range 50)))"
    )
    limits = Limits(checkpoint_bytes=1 * MIB)
    async with Runtime(provider=InlineProvider(), store=store, limits=limits) as runtime:
        result = await runtime.run(program)
        assert result.value.count("kept") == 10
        assert await store.size("default") <= MIB


async def test_a_hundred_restores_at_once_read_one_value_at_a_time() -> None:
    """The store is asked for the next when the one before is on its way."""

    class Counting(MemoryStore):
        reading = most = 0

        async def get(self, namespace: str, key: str) -> bytes | None:
            Counting.reading += 1
            Counting.most = max(Counting.most, Counting.reading)
            await asyncio.sleep(0)
            Counting.reading -= 1
            return await super().get(namespace, key)

    program = (
        '(checkpoint "k" (make-string 10000 #\\a))'
        ' (await-all (map (lambda (i) (spawn (lambda () (string-length (restore "k"))))) (range 100)))'
    )
    async with Runtime(provider=InlineProvider(), store=Counting()) as runtime:
        assert (await runtime.run(program)).ok
    assert Counting.most == 1


async def test_a_hundred_restores_at_once_are_made_as_fast_as_they_are_taken() -> None:
    """So that they need no more room than one after the other."""
    program = (
        '(checkpoint "k" (make-string 1000000 #\\a))'
        ' (for-each await (map (lambda (i) (spawn (lambda () (string-length (restore "k"))))) (range 100)))'
    )
    limits = Limits(host_bytes=16 * MIB)
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime, runtime.session() as session:
        result = await session.execute(program)
        assert result.ok, result.error
        assert peak(session) < 8 * MIB


# ---- after it


async def test_what_was_held_is_given_back_however_it_ended() -> None:
    """By an end, an error, a limit, a cancellation."""
    async with (
        Runtime(provider=GatedProvider(), limits=Limits(calls=50)) as runtime,
        runtime.session() as session,
    ):
        for end in ('(error "x")', "(finish 1)", '(llm-query #:instruction "q")', "(sleep 100)"):
            program = (
                "(define d (make-string 100000 #\\a))"
                f' (map (lambda (i) (llm-query-async #:instruction "q" #:data d)) (range 50)) (sleep 0.001) {end}'
            )
            task = asyncio.create_task(session.execute(program))
            for _ in range(200):
                await asyncio.sleep(0)
            session.cancel()
            await task
            assert session.state()["used"]["host_bytes"] == 0
    gc.collect()


# ---- texts of megabytes, in the guest's outbox


def most_allocated(work: Generator[int, None, Any]) -> tuple[Any, int]:
    """What it gives, and the most bytes that Python had allocated for it at one moment."""
    tracemalloc.start()
    try:
        result = at_once(work)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("wide", ["", "\U0001f642"])
@pytest.mark.parametrize("stream", ["out", "err"])
def test_output_of_megabytes_never_stands_in_the_host_as_a_text(stream: str, wide: str) -> None:
    """It stood there three times, and was four times as wide for one wide character: 400 MiB for 60."""
    text = "a" * 12_000_000 + wide + "b"
    outbox = protocol.encode([["note", stream, text], ["note", stream, "c"]])
    (first, second), most = most_allocated(protocol.messages_in_turns(outbox))
    assert most < 5_000_000  # pieces of a mebibyte
    parts = list(first.parts())
    assert {part.stream for part in parts} == {stream}
    assert "".join(part.text for part in parts) == text
    assert max(len(part.text) for part in parts) <= protocol.IN_ONE_GO
    assert second == protocol.Output(stream, "c")


def test_a_long_text_of_an_argument_stands_beside_its_message_once() -> None:
    """Its pieces stood beside the whole."""
    text = "a" * 12_000_000
    value, most = most_allocated(protocol.decode_in_turns(protocol.encode([text])))
    assert value == [text]
    assert most < 12_000_000 + 4_000_000


@pytest.mark.parametrize("kind", ["note", "done"])
def test_a_long_text_that_is_no_utf_8_is_a_malformed_message(kind: str) -> None:
    """Wherever the mistake stands, nothing of the outbox is served."""
    text = protocol.encode("a" * 3_000_000)
    for at in (10, 1_048_576, len(text) - 1):
        broken = text[:at] + b"\xff" + text[at + 1 :]
        outbox = b"\x81\x83" + protocol.encode(kind) + protocol.encode("out") + broken
        with pytest.raises(Unencodable, match="cannot be read"):
            at_once(protocol.messages_in_turns(outbox))


@pytest.mark.parametrize(
    "message", [["log", 1, "a" * 2_000_000], ["note", "nowhere", "a" * 2_000_000], ["a" * 2_000_000, 1, 2]]
)
def test_a_long_text_where_none_belongs_is_a_malformed_message(message: list[object]) -> None:
    """As it is with a short one."""
    with pytest.raises(Unencodable):
        at_once(protocol.messages_in_turns(protocol.encode([message])))


async def test_what_is_printed_beyond_the_limit_is_counted_whatever_its_length() -> None:
    """The parts that are not kept are counted in bytes, as those of short output are."""
    heard: list[str] = []
    async with (
        Runtime(provider="echo", limits=Limits(output_bytes=2_000_000)) as runtime,
        runtime.session() as session,
    ):
        result = await session.execute(
            '(display (string-append (make-string 5000000 #\\a) "\\x1f642;")) (display "z")',
            on_output=lambda *said: heard.append(said[-1]),
        )
    assert result.truncated == ("stdout",)
    assert result.stdout == "a" * 2_000_000 + "\n… [cut: 3,000,005 more bytes]"
    assert "".join(heard) == "a" * 2_000_000


FORKS = "(length (fork-map (lambda (x) (make-string 1000000 #\\a)) (range 100)))"


async def test_what_forks_give_is_held_while_others_still_work() -> None:
    """Two hundred of five megabytes each stood in the host, under a limit of 64 MiB."""
    async with Runtime(provider=InlineProvider(), limits=Limits(host_bytes=8 * MIB)) as runtime:
        result = await runtime.run(FORKS)
        assert result.error is not None
        assert (result.status, result.error.kind) == ("limit", "host_bytes")


async def test_forks_that_give_more_than_a_message_may_have_are_given_up_then() -> None:
    """And not, when each of them has given its part."""
    limits = Limits(message_bytes=4 * MIB, output_bytes=2 * MIB)
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime, runtime.session() as session:
        result = await session.execute(f"(guard (e (#t (condition/report-string e))) {FORKS})")
        assert "more than 4,194,304 bytes" in result.value
        assert peak(session) < 6 * MIB
