"""Long texts come into the guest by one copy or by none, and nothing but the time that takes tells which."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host.test_hostile_guest import _guest
from host.test_memories import MAPPED, content_of, sandbox_of, value_of
from rlm_wasm import Limits, Runtime, Session
from rlm_wasm.capabilities.contexts import Contexts
from rlm_wasm.errors import InstanceLost, MessageTooLarge
from rlm_wasm.sandbox import memories, protocol, texts
from rlm_wasm.sandbox.instance import Instance
from rlm_wasm.sandbox.layers import Extent, LayerFile, mappings
from rlm_wasm.sandbox.memories import Copying, Mapping
from rlm_wasm.sandbox.pages import PAGE, at_once
from rlm_wasm.sandbox.protocol import Part, TextReply
from rlm_wasm.sandbox.sandbox import DONE, PREEMPTED, SUSPENDED, Sandbox
from rlm_wasm.sandbox.snapshot import PackedLayers
from rlm_wasm.sandbox.texts import BEGINS, LONG_TEXT, LongText, SharedText
from rlm_wasm.testing import InlineProvider

FUEL = 1 << 50
CHUNK = 4
"""Pages that are written to a layer together, in these tests."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done for texts of many megabytes is done for those of tests, too."""
    monkeypatch.setattr(texts, "MAPPED_AT_FIRST", 0)
    monkeypatch.setattr(SharedText, "_CHUNK", CHUNK)


@contextmanager
def way(chosen: memories.Memories) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memories, "_chosen", chosen)
        yield


def text_of(length: int, wide: str = "") -> str:
    """One that is nowhere as it is elsewhere, with wide characters here and there."""
    text = "".join(f"{n:07x} " for n in range(length // 8 + 1))[:length]
    return (
        text if not wide else "".join(text[at : at + 4999] + wide for at in range(0, length, 5000))[:length]
    )


def part_of(text: SharedText, start: int, end: int) -> LongText:
    part = at_once(text.part(start, end))
    assert isinstance(part, LongText)
    return part


def ran(sandbox: Sandbox, given: bytes | int | None) -> int:
    status = sandbox.run(given, 1_000_000, FUEL)
    while status == PREEMPTED:
        status = sandbox.run(None, 1_000_000, FUEL)
    return status


def asking(program: str) -> tuple[Sandbox, int]:
    """A guest that waits for the reply to a request, and that request's id."""
    sandbox = sandbox_of()
    assert ran(sandbox, protocol.evaluate(program, "program", {})) == SUSPENDED
    (call,) = [each for each in protocol.messages(sandbox.outbox()) if isinstance(each, protocol.Call)]
    return sandbox, call.id


def done(sandbox: Sandbox) -> Any:
    (end,) = [each for each in protocol.messages(sandbox.outbox()) if isinstance(each, protocol.Done)]
    assert end.error is None, end.error
    return end.value


def as_parts(id_: int, text: LongText) -> Sequence[Part]:
    return protocol.replies_in_parts([TextReply(id_, text)])


def as_encoded_parts(id_: int, text: LongText) -> Sequence[Part]:
    return protocol.replies_in_parts([at_once(TextReply(id_, text).encoded())])


def as_bytes(id_: int, text: LongText) -> Sequence[Part]:
    return (protocol.replies_of([TextReply(id_, text)]),)


WAYS: list[tuple[memories.Memories, Callable[[int, LongText], Sequence[Part]]]] = [
    (Copying(), as_parts),
    (Copying(), as_encoded_parts),
    (Copying(), as_bytes),
    (Mapping(), as_parts),
]

READ = """
(define t (context-slice 0 1))
(list (string-length t) (sha256 t) (char->integer (string-ref t 4071)) (char->integer (string-ref t 4072)))
"""


def taken(chosen: memories.Memories, message: Sequence[Part], sandbox: Sandbox) -> tuple[str, int, int]:
    """What the program gives once it has the text, its fuel, and how many pieces are mapped."""
    with way(chosen):
        given = at_once(sandbox.deliver(message, FUEL))
        fuel = 0
        status = sandbox.run(given, 1_000_000, FUEL)
        while status == PREEMPTED:
            fuel += sandbox.fuel_used
            status = sandbox.run(None, 1_000_000, FUEL)
        assert status == DONE
    pieces = sandbox._awake().pieces
    return done(sandbox), fuel + sandbox.fuel_used, len(pieces)


WIDTHS = {"": 1, "é": 1, "λ": 2, "🙂": 4}


@given(
    wide=st.sampled_from(sorted(WIDTHS)),
    start=st.integers(0, 5).map(PAGE.__mul__),
    more=st.integers(0, 3 * PAGE),
    after=st.integers(0, 2 * PAGE),
)
@example(wide="", start=0, more=PAGE - BEGINS, after=0)
@example(wide="", start=0, more=PAGE - BEGINS - 1, after=0)
@example(wide="é", start=3 * PAGE, more=PAGE - BEGINS, after=1)
@example(wide="λ", start=PAGE, more=PAGE - BEGINS + 1, after=PAGE)
@example(wide="🙂", start=PAGE, more=PAGE - BEGINS // 4, after=PAGE)
@settings(max_examples=8, deadline=None)
def test_a_text_is_the_same_whichever_way_it_comes(wide: str, start: int, more: int, after: int) -> None:
    """Value, fuel, and every byte of the memory."""
    end = start + LONG_TEXT + more
    shared = SharedText.of(text_of(end + after, wide))
    expected = shared.text[start:end]
    found = []
    for chosen, form in WAYS:
        sandbox, id_ = asking(READ)
        part = part_of(shared, start, end)
        assert part.width == WIDTHS[wide]
        value, fuel, pieces = taken(chosen, form(id_, part), sandbox)
        assert bool(pieces) == (isinstance(chosen, Mapping) and memories._can_map())
        found.append((value, fuel, content_of(sandbox)))
        sandbox.close()
    digest = hashlib.sha256(expected.encode()).hexdigest()
    assert found[0][0] == f"({len(expected)} {digest} {ord(expected[4071])} {ord(expected[4072])})"
    for other in found[1:]:
        assert other == found[0]


@given(st.sampled_from(sorted(WIDTHS)), st.sampled_from(sorted(WIDTHS)), st.integers(0, LONG_TEXT - 1))
@settings(max_examples=12, deadline=None)
def test_a_part_is_as_wide_as_its_own_characters(first: str, second: str, start: int) -> None:
    """As a text that is decoded is."""
    shared = SharedText.of(first + text_of(LONG_TEXT) + "." * LONG_TEXT + second)
    part = part_of(shared, start, start + LONG_TEXT)
    assert part.width == (WIDTHS[first] if start == 0 else 1)
    assert part.text() == shared.text[start : start + LONG_TEXT]
    whole = part_of(shared, 0, len(shared.text))
    assert whole.width == max(WIDTHS[first], WIDTHS[second])
    sandbox, id_ = asking("(define t (context-slice 0 1)) (list (string-length t) (sha256 t))")
    value, _, _ = taken(Mapping(), as_parts(id_, part), sandbox)
    assert value == f"({LONG_TEXT} {hashlib.sha256(part.text().encode()).hexdigest()})"
    sandbox.close()


@pytest.mark.parametrize("length", [LONG_TEXT - 1, LONG_TEXT])
@pytest.mark.parametrize("last", ["z", "é", "λ", "🙂", "\ud800"])
async def test_texts_that_are_short_or_no_text_come_in_their_message(length: int, last: str) -> None:
    """The guest decodes them; half of a surrogate pair becomes U+FFFD as ever."""
    text = text_of(length - 1) + last
    fits = at_once(texts.long_text(text))
    assert (fits is None) == (last == "\ud800")
    async with Runtime(provider=InlineProvider()) as runtime:
        runtime.host_function("text")(lambda: text)
        result = await runtime.run("(define t (text)) (list (string-length t) (sha256 t))")
    expected = text.replace("\ud800", "\ufffd").encode()
    assert result.value == f"({length} {hashlib.sha256(expected).hexdigest()})"


def test_a_text_that_is_too_large_for_the_guest_to_take_at_once_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its bytes there."""
    monkeypatch.setattr(texts, "MOST_BYTES", 2 * LONG_TEXT)
    for wide, width in WIDTHS.items():
        text = text_of(LONG_TEXT, wide)
        assert (at_once(texts.long_text(text)) is None) == (width == 4)
        assert isinstance(at_once(SharedText.of(text).part(0, LONG_TEXT)), str) == (width == 4)


REPLY = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda id_, text, fine: cbor2.dumps([id_, fine, text]),
        st.integers(0, 1 << 40),
        st.sampled_from(["", "a" * LONG_TEXT, "a" * 330_000, "a" * LONG_TEXT + "é", "ü" * 140_000]),
        st.booleans(),
    ),
)


@given(st.lists(REPLY, min_size=1, max_size=3), st.binary(max_size=2))
def test_what_a_message_says_decides_and_not_how_it_is_divided(replies: list[bytes], after: bytes) -> None:
    """Also where it is no message at all."""
    parts = protocol.replies_in_parts([*replies[:-1], replies[-1] + after])
    divided, whole = (at_once(protocol.text_apart(message)) for message in (parts, (protocol.joined(parts),)))
    assert (divided is None) == (whole is None)
    if divided is not None and whole is not None:
        assert divided.head == whole.head
        assert divided.text.text() == whole.text.text()
        for reply in (divided, whole):
            assert protocol.replies_of([reply]) == protocol.joined(parts)
            assert at_once(reply.encoded()) == parts[1]


# ---- what is mapped


def mapped(sandbox: Sandbox, id_: int, text: LongText) -> str:
    value, _, pieces = taken(Mapping(), as_parts(id_, text), sandbox)
    assert pieces
    return value


@MAPPED
def test_sessions_share_what_is_mapped_and_none_sees_what_another_writes() -> None:
    """Nor does the text itself change."""
    shared = SharedText.of(text_of(LONG_TEXT + PAGE))
    kept = str(shared.text.encode(), "ascii")
    program = "(define t (context-slice 0 1)) (string-fill! t #\\{0} 9000 20000) (string-ref t 9000)"
    values, extents = [], []
    for letter in "xy":
        sandbox, id_ = asking(program.format(letter))
        part = part_of(shared, 0, len(shared.text))
        mapped(sandbox, id_, part)
        extents.append({piece.extent for piece in sandbox._awake().pieces})
        values.append((sandbox, letter))
    for sandbox, letter in values:
        expected = kept[:9000] + letter * 11000 + kept[20000:]
        digest = hashlib.sha256(expected.encode()).hexdigest()
        assert value_of(sandbox, "(sha256 t)") == digest
    assert shared.text == kept
    assert extents[0] == extents[1]


@MAPPED
def test_a_capture_copies_nothing_of_a_text_that_is_mapped() -> None:
    """And what is made of it, however it travels, has the text."""
    shared = SharedText.of(text_of(LONG_TEXT + 70 * PAGE))
    sandbox, id_ = asking("(define t (context-slice 0 1)) (string-length t)")
    part = part_of(shared, 0, len(shared.text))
    mapped(sandbox, id_, part)
    digest = hashlib.sha256(shared.text.encode()).hexdigest()
    with way(Mapping()):
        image = sandbox.capture()
        assert image.own_bytes < 40 * PAGE
        fork = sandbox_of(image)
        assert value_of(fork, "(sha256 t)") == digest
        assert at_once(image.whole()) == content_of(sandbox)
        sandbox.sleep()
    assert value_of(sandbox, "(sha256 t)") == digest
    with way(Copying()):
        elsewhere = sandbox_of(at_once(image.whole()))
        assert value_of(elsewhere, "(sha256 t)") == digest


WRITES = {
    "nothing": "",
    "zeros": "(string-fill! t #\\nul 8192 60000)",
    "a little": "(string-fill! t #\\x 9000 9001)",
    "much": "(string-fill! t #\\x 9000 300000)",
    "much, in which there are zeros": "(string-fill! t #\\x 9000 300000) (string-fill! t #\\nul 100000 200000)",
}


@MAPPED
@pytest.mark.parametrize("written", WRITES)
@pytest.mark.parametrize("captured", [False, True])
def test_who_sleeps_makes_no_copy_of_what_is_mapped(written: str, captured: bool) -> None:
    """Only of what it has written over it; and is as it was when it wakes, where nothing can be mapped, too."""
    shared = SharedText.of(text_of(LONG_TEXT + 100 * PAGE))
    sandbox, id_ = asking("(define t (context-slice 0 1)) (string-length t)")
    mapped(sandbox, id_, part_of(shared, 0, len(shared.text)))
    with way(Mapping()):
        if captured:
            sandbox.capture()
        value_of(sandbox, f"{WRITES[written]} (define more (make-vector 1000 7)) 1")
        digest = value_of(sandbox, "(sha256 t)")
        before = content_of(sandbox)
        sandbox.sleep()
        frozen = sandbox._frozen
        assert isinstance(frozen, PackedLayers)
        assert frozen.pages <= len(before.numbers) - 60  # of 163 that the text has
        assert at_once(at_once(frozen.unpacked()).whole()) == before
        assert value_of(sandbox, "(list (sha256 t) (vector-length more))") == f"({digest} 1000)"
        assert sandbox._awake().pieces
    with way(Copying()):
        other = sandbox_of(frozen)
        assert value_of(other, "(list (sha256 t) (vector-length more))") == f"({digest} 1000)"


@MAPPED
def test_memory_that_a_mapped_text_leaves_is_used_again() -> None:
    """What stood there is nobody's: it may be given back, and another text may come to its place."""
    sandbox, id_ = asking("(define t (context-slice 0 1)) (string-length t)")
    for number in range(4):
        shared = SharedText.of(str(number) + text_of(LONG_TEXT + number * PAGE))
        part = part_of(shared, 0, len(shared.text))
        mapped(sandbox, id_, part)
        digest = hashlib.sha256(shared.text.encode()).hexdigest()
        assert value_of(sandbox, "(sha256 t)") == digest
        assert value_of(sandbox, "(set! t #f) (vector-length (make-vector 400000 1))") == "400000"
        assert ran(sandbox, protocol.COLLECT) == DONE
        at_once(sandbox.give_back())
        assert value_of(sandbox, "(define v (make-vector 30000 7)) (vector-ref v 29999)") == "7"
        with way(Mapping()):
            assert at_once(sandbox.capture().whole()) == content_of(sandbox)
        status = ran(sandbox, protocol.evaluate("(set! t (context-slice 0 1)) 1", "program", {}))
        assert status == SUSPENDED
        (call,) = [each for each in protocol.messages(sandbox.outbox()) if isinstance(each, protocol.Call)]
        id_ = call.id


@MAPPED
def test_a_text_leaves_its_layers_when_nobody_has_it() -> None:
    """Neither a session that maps it nor a context."""

    def layers() -> int:
        gc.collect()
        return os.fstat(LayerFile.current().descriptor).st_blocks * 512

    before = layers()
    shared: SharedText | None = SharedText.of(text_of(LONG_TEXT))
    assert shared is not None
    sandbox, id_ = asking("(define t (context-slice 0 1)) (string-length t)")
    part: Any = part_of(shared, 0, LONG_TEXT)
    mapped(sandbox, id_, part)
    held = layers()
    assert held >= before + LONG_TEXT - 2 * PAGE
    shared = part = None
    assert layers() == held
    assert value_of(sandbox, "(string-length t)") == str(LONG_TEXT)
    sandbox.close()
    assert layers() == before


@MAPPED
@pytest.mark.parametrize("reason", ["no mappings left", "no room in layers", "not at a page"])
def test_where_a_text_cannot_be_mapped_it_is_copied(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session goes on."""
    shared = SharedText.of(text_of(LONG_TEXT + 1))
    start = 0
    if reason == "no mappings left":
        monkeypatch.setattr(mappings, "most", mappings.count)
    elif reason == "no room in layers":

        def full(*_arguments: Any) -> None:
            raise OSError(28, "no space left on device")

        monkeypatch.setattr(Extent, "write", full)
    else:
        start = 1
    sandbox, id_ = asking(READ)
    part = part_of(shared, start, start + LONG_TEXT)
    value, _, pieces = taken(Mapping(), as_parts(id_, part), sandbox)
    assert pieces == 0
    assert hashlib.sha256(shared.text[start : start + LONG_TEXT].encode()).hexdigest() in value


@MAPPED
def test_an_instance_whose_memory_may_have_a_hole_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written to it any more."""

    def refused(*_arguments: Any, **_named: Any) -> Any:
        raise OSError(12, "cannot allocate memory")
        yield

    sandbox, id_ = asking(READ)
    part = part_of(SharedText.of(text_of(LONG_TEXT)), 0, LONG_TEXT)
    monkeypatch.setattr(Instance, "lay", refused)
    with way(Mapping()), pytest.raises(InstanceLost, match="cannot be mapped"):
        at_once(sandbox.deliver(as_parts(id_, part), FUEL))
    with pytest.raises(InstanceLost, match="cannot be mapped"):
        sandbox.run(None, 1, FUEL)


# ---- what comes in between


def test_a_text_that_was_not_taken_is_forgotten_with_its_message() -> None:
    """The message that comes after it has its own."""
    sandbox, id_ = asking("(define t (context-slice 0 1)) (string-length t)")
    text = LongText(text_of(LONG_TEXT), 0, LONG_TEXT)
    at_once(sandbox.deliver(as_parts(id_, text), FUEL))
    assert ran(sandbox, protocol.INTERRUPT) == DONE
    assert value_of(sandbox, "(+ 1 2)") == "3"
    assert ran(sandbox, protocol.evaluate("(string-length (context-slice 0 1))", "program", {})) == SUSPENDED
    (call,) = [each for each in protocol.messages(sandbox.outbox()) if isinstance(each, protocol.Call)]
    value, _, _ = taken(Copying(), as_parts(call.id, LongText("b" * LONG_TEXT, 0, LONG_TEXT)), sandbox)
    assert value == str(LONG_TEXT)


def test_a_text_that_waits_to_be_taken_is_in_a_capture() -> None:
    """Also where a collection comes in between."""
    sandbox, id_ = asking("(define t (context-slice 0 1)) (sha256 t)")
    text = text_of(LONG_TEXT + 5)
    given = at_once(sandbox.deliver(as_parts(id_, LongText(text, 0, len(text))), FUEL))
    assert sandbox.run(given, 1, FUEL) == PREEMPTED
    other = sandbox_of(sandbox.capture())
    sandbox.close()
    assert ran(other, None) == DONE
    assert done(other) == hashlib.sha256(text.encode()).hexdigest()


def test_a_text_that_has_no_room_is_refused() -> None:
    """As any message is."""
    engine = sandbox_of()._engine
    sandbox = Sandbox(engine, engine.image_size + (2 << 20))
    assert ran(sandbox, protocol.evaluate("(context-slice 0 1)", "program", {})) == SUSPENDED
    (call,) = [each for each in protocol.messages(sandbox.outbox()) if isinstance(each, protocol.Call)]
    text = "a" * (32 << 20)
    with pytest.raises(MessageTooLarge):
        at_once(sandbox.deliver(as_parts(call.id, LongText(text, 0, len(text))), FUEL))
    assert ran(sandbox, protocol.INTERRUPT) == DONE


def test_an_older_guest_is_sent_the_whole_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no place for a text apart."""
    has = Instance.has
    monkeypatch.setattr(Instance, "has", lambda self, name: name != "rlm_inbox_text" and has(self, name))
    text = text_of(LONG_TEXT + 9)
    sandbox, id_ = asking(READ)
    value, _, pieces = taken(Mapping(), as_parts(id_, LongText(text, 0, len(text))), sandbox)
    assert pieces == 0
    assert hashlib.sha256(text.encode()).hexdigest() in value


APART = '(i32.const 1024))\n  (func (export "rlm_inbox_text") (param i32) (result i32) {0}'


@pytest.mark.parametrize("place", ["0x7ffffff0", "-16", "0x3fff8", "0"])
async def test_a_guest_that_names_a_place_outside_its_memory_crashes(place: str, tmp_path: Path) -> None:
    """Nothing is written there, and nothing mapped; or it says that it has no room."""
    said = [["call", 1, "context", cbor2.dumps([False])]]
    engine = _guest(tmp_path, said=said, run="(i32.const 1)", inbox=APART.format(f"(i32.const {place})"))
    async with Runtime(provider=InlineProvider(), engine=engine) as runtime, runtime.session() as session:
        await session.load_context(text_of(LONG_TEXT))
        result = await session.execute("(+ 1 2)")
    assert result.rolled_back
    assert result.error is not None
    assert result.error.type == ("sandbox-crashed" if place != "0" else "limit")


# ---- sessions

PROGRAM = """
(define whole (get-context))
(define parts (map-async (lambda (i) (context-slice (* i 300000) (* (+ i 1) 300000))) (iota 4)))
(define answer (echo 5))
(list (string-length whole) (sha256 whole) (sha256 (string-join parts "")) (map string-length parts)
      (string-length answer) (string=? whole (get-context)))
"""


async def session_of(runtime: Runtime, text: str) -> Session:
    session = runtime.session()
    await session.load_context(text)
    return session


@pytest.mark.parametrize(
    ("length", "wide"), [(1_200_001, ""), (1_200_001, "é"), (1_200_001, "🙂"), ((8 << 20) + 4_999, "λ")]
)
async def test_programs_and_their_fuel_are_the_same_both_ways(length: int, wide: str) -> None:
    """Contexts, parts of them, and what a host function gives; forks and what is restored from bytes have them, too."""
    text = text_of(length, wide)
    digest = hashlib.sha256(text.encode()).hexdigest()
    found = []
    for chosen in (Copying(), Mapping()) if memories._can_map() else (Copying(),):
        with way(chosen):
            async with Runtime(provider=InlineProvider(), limits=Limits(host_bytes=8 << 20)) as runtime:
                runtime.host_function("echo")(lambda n: text_of(300_000 + n, wide))
                session = await session_of(runtime, text)
                result = await session.execute(PROGRAM)
                assert result.ok, result.error
                assert result.value.startswith(f"({length} {digest} ")
                failed = await session.execute('(string-set! whole 5 #\\*) (error "no")')
                after = await session.execute("(string-ref whole 5)")
                fork = await session.fork()
                forked = await fork.execute("(sha256 (get-context))")
                kept = (await session.snapshot()).dump()
                restored = await runtime.restore(kept)
                again = await restored.execute("(list (sha256 (get-context)) (string-ref whole 5))")
                results = [result, failed, after, forked, again]
                found.append([(each.value, each.execution.fuel) for each in results])
                assert forked.value == digest
                assert again.value == f"({digest} *)"
                for each in (session, fork, restored):
                    await each.aclose()
    assert all(each == found[0] for each in found)


async def test_a_replaced_context_stays_what_it_was_where_it_is_mapped() -> None:
    """The program's string is not the session's text."""
    texts_ = [letter + text_of(LONG_TEXT + PAGE) for letter in "ab"]
    async with Runtime(provider=InlineProvider()) as runtime:
        session = await session_of(runtime, texts_[0])
        await session.execute("(define old context)")
        await session.load_context(texts_[1])
        texts_ = [hashlib.sha256(text.encode()).hexdigest() for text in texts_]
        gc.collect()
        result = await session.execute("(list (sha256 old) (sha256 context))")
        assert result.value == f"({texts_[0]} {texts_[1]})"
        await session.aclose()


async def test_a_rollback_gives_a_text_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the session had before an execution that crashed."""
    text = text_of(LONG_TEXT + 77)
    async with Runtime(provider=InlineProvider()) as runtime:
        session = await session_of(runtime, text)
        await session.execute("(define t (get-context)) (string-fill! t #\\! 3 4)")

        run = Sandbox.run

        def crashing(self: Sandbox, *arguments: Any) -> int:
            run(self, *arguments)
            monkeypatch.setattr(Sandbox, "run", run)
            raise InstanceLost("trap", "by the test")

        monkeypatch.setattr(Sandbox, "run", crashing)
        assert (await session.execute("(set! t #f)")).rolled_back
        result = await session.execute("(sha256 t)")
        expected = text[:3] + "!" + text[4:]
        assert result.value == hashlib.sha256(expected.encode()).hexdigest()
        await session.aclose()


def test_contexts_with_the_same_text_share_it() -> None:
    """In whichever session they are, as long as one of them has it."""
    text = text_of(LONG_TEXT)
    first, second = Contexts(), Contexts()
    first.load(text, None)
    second.load(text, "other")
    one, other = first.table()["context"]([False]), second.table()["context"](["other"])
    assert isinstance(one, LongText)
    assert isinstance(other, LongText)
    assert one.shared is other.shared is not None


async def test_long_replies_come_alone_and_in_their_order() -> None:
    """However many are due at once."""
    async with Runtime(provider=InlineProvider()) as runtime:
        runtime.host_function("text")(lambda n: str(n) + "x" * (LONG_TEXT if n % 2 else 3))
        result = await runtime.run(
            "(map (lambda (t) (list (string-ref t 0) (string-length t))) (map-async text (iota 6)))"
        )
    expected = [f"({n} {1 + (LONG_TEXT if n % 2 else 3)})" for n in range(6)]
    assert result.value == f"({' '.join(expected)})"


async def test_texts_that_are_no_copies_call_for_an_image_later_than_others() -> None:
    """A context's are there anyway; so many of them that were replaced are not kept for a rollback for ever."""
    async with Runtime(provider=InlineProvider()) as runtime:
        runtime.host_function("text")(lambda: "b" * (3 << 20))
        session = await session_of(runtime, "a" * (3 << 20))
        for operation, most in (("(string-length (text))", 3), ("(string-length (get-context))", 11)):
            await session.reset()
            log = session._scheduler.guest.log
            await session.load_context("a" * (3 << 20))
            counted = 0
            while not log.overdue:
                assert (await session.execute(operation)).value == str(3 << 20)
                counted += 1
            assert counted == most
        await session.aclose()


def test_what_others_declare_of_pythons_c_interface_changes_nothing_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``ctypes.pythonapi`` is everybody's: a library that declares the same function in its own way is no harm."""
    others = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
    monkeypatch.setattr(others, "argtypes", (ctypes.py_object, ctypes.c_void_p))
    monkeypatch.setattr(others, "restype", ctypes.c_char_p)
    text = text_of(LONG_TEXT)
    address = LongText(text, 8, len(text)).address()
    assert ctypes.string_at(address, 8) == text[8:16].encode()
