"""One schema of messages: the host's records, the comment of wasm/rlm.h, and what the prelude sends."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import cbor2
from doc_pages.protocol import shape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_dead_code import Datum, read

from rlm_wasm import Runtime
from rlm_wasm.errors import Unencodable
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.protocol import ErrorReport

ROOT = Path(__file__).parents[2]
HEADER = (ROOT / "wasm" / "rlm.h").read_text(encoding="utf-8")
BUILD_ONLY = ['["boot", {source, name, places}]', '["seal"]']


def _declared(direction: str) -> list[str]:
    section = re.split(r"^ \* (?=To the guest|From the guest)", HEADER, flags=re.MULTILINE)
    [text] = [part for part in section if part.startswith(direction)]
    return re.findall(r'^ \*   (\["[^\n]*?\])(?:  .*)?$', text, re.MULTILINE)


def _prelude() -> list[Datum]:
    files = sorted((ROOT / "prelude").rglob("*.scm"))
    return [datum for path in files for datum in read_texts(path.read_text(encoding="utf-8"))]


def read_texts(source: str) -> list[Datum]:
    """The data of a Scheme text, in which texts are kept (``test_dead_code.read`` forgets them)."""
    texts = re.findall(r'"((?:[^"\\]|\\.)*)"', source)
    marked = source
    for text in sorted({t for t in texts if re.fullmatch(r"[a-z][a-z!?-]*", t)}, key=len, reverse=True):
        marked = marked.replace(f'"{text}"', f" TEXT:{text} ")
    return read(marked)


def _lists(data: list[Datum]) -> list[list[Datum]]:
    found, left = [], list(data)
    while left:
        datum = left.pop()
        if isinstance(datum, list):
            found.append(datum)
            left.extend(datum)
    return found


def _text(datum: Datum) -> str | None:
    return datum.removeprefix("TEXT:") if isinstance(datum, str) and datum.startswith("TEXT:") else None


FORMS = _lists(_prelude())
ASKING = {"%ask": 1, "%request": 1, "%python": 1, "%encode-request": 2}
"""What sends a request, and where in a call of it the operation stands."""


def test_the_header_declares_every_message_with_its_fields_in_their_order() -> None:
    """In both directions, and nothing else but what the build sends."""
    assert _declared("From the guest") == [shape(kind) for kind in _in_order(protocol.FROM_GUEST)]
    assert _declared("To the guest") == [shape(kind) for kind in protocol.TO_GUEST] + BUILD_ONLY


def _in_order(kinds: tuple[type[Any], ...]) -> list[type[Any]]:
    assert [kind.KIND for kind in kinds] == [
        "call",
        "ack",
        "cancel",
        "note",
        "note",
        "note",
        "note",
        "note",
        "done",
        "failed",
    ]
    return list(kinds)


def test_every_operation_that_the_prelude_asks_for_is_in_the_table_and_every_other_way_round() -> None:
    """What nobody asks for is not promised; what is asked for is described."""
    asked = set()
    for form in FORMS:
        call = form[1:] if form[:1] == ["apply"] else form
        place = ASKING.get(str(call[0])) if call else None
        if place is not None and len(call) > place:
            asked.add(call[place])
    variables = {name for name in asked if not _text(name)}
    assert variables == {"operation"}, "the parameter of those in ASKING: any other hides what is asked for"
    assert {_text(name) for name in asked - variables} == protocol.OPERATIONS.keys()


def test_every_message_that_the_prelude_sends_is_one_of_the_schema() -> None:
    """Its kind, and how many fields it has; those of the core are sent by host/boot.c, program.c and request.c."""
    sent = [_sent(form) for form in FORMS if form[:1] == ["%cbor-encode"]]
    messages = [message for message in sent if message]
    fields = {kind.KIND: len(dataclasses.fields(kind)) for kind in protocol.FROM_GUEST}
    fields["done"] = 1  # a table
    for kind, *given_fields in messages:
        assert len(given_fields) == fields[str(kind)], kind
    core = re.findall(r'outbox_text\("(\w+)"', (ROOT / "wasm/host/boot.c").read_text(encoding="utf-8"))
    sources = [(ROOT / "wasm/host" / name).read_text(encoding="utf-8") for name in ("program.c", "request.c")]
    written = [
        found  # an array's head, a text's head, its kind
        for source in sources
        for found in re.findall(r'"\\x8(\d)\\x6\d" "(\w+)"', source)
    ]
    assert written.count(("4", "call")) == 2  # made at once, and of arguments that were encoded in pieces
    for count, kind in written:
        if kind in fields:
            assert int(count) == fields[kind] + 1, kind
    core += {kind for _, kind in written} - {kind.KIND for kind in protocol.TO_GUEST}
    assert {str(kind) for kind, *_ in messages} | set(core) == fields.keys()


def _sent(form: list[Datum]) -> list[Datum]:
    """The message that a ``(%cbor-encode (list "kind" …))`` makes, or nothing."""
    made = form[1]
    if isinstance(made, list) and made[:1] == ["list"] and len(made) > 1 and _text(made[1]):
        return [_text(made[1]) or "", *made[2:]]
    if isinstance(made, list) and len(made) == 1 and _text(made[0]):  # a quoted constant
        return [_text(made[0]) or ""]
    return []


def test_every_key_of_an_outcome_and_of_an_error_is_a_field() -> None:
    """The prelude makes both as tables; another key would end the instance."""
    fields = {field.name for kind in (protocol.Done, ErrorReport) for field in dataclasses.fields(kind)}
    main = _lists(read_texts((ROOT / "prelude/runtime/main.scm").read_text(encoding="utf-8")))
    keys = {_text(form[2]) for form in main if form[:2] == ["hash-set!", "out"]}
    keys |= {_text(key) for form in main if form[:2] == ["hash", "TEXT:status"] for key in form[1::2]}
    assert {"status", "value", "message"} <= keys <= fields


async def test_a_session_serves_no_operation_that_the_schema_lacks() -> None:
    """And all of them: what is not granted is refused by the one who would serve it."""
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        served = {*session._parts.table(), "llm", "fork", "sleep"}
    assert served == protocol.OPERATIONS.keys()


# ---- hostile outboxes

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.just(cbor2.undefined)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(SCALARS.filter(lambda key: key is not cbor2.undefined), inner, max_size=4)
        | st.builds(
            cbor2.CBORTag,
            st.sampled_from([0, 1, 2, 3, 28, 30, 35, 39, 40002, 40003, 40004, 40006, 99]),
            inner,
        )
    ),
    max_leaves=12,
)
RIGHT = [
    ["call", 1, "llm", cbor2.dumps([1, 2])],
    ["ack"],
    ["cancel", 7],
    ["note", "out", "text"],
    ["note", "log", {"op": "syntax-e", "preview": "p"}],
    ["done", {"status": "ok", "value": "1", "data": cbor2.dumps(1), "cut": False, "lineage": [1]}],
    [
        "done",
        {"status": "error", "error": {"type": "exn:fail", "message": "m", "irritants": ["x"], "line": 3}},
    ],
    ["failed", "why"],
]
"""One of each kind, as a guest sends them."""


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Right messages with one thing wrong: a field, its place, their number, a byte, or the end."""
    messages: list[Any] = [list(message) for message in draw(st.lists(st.sampled_from(RIGHT), min_size=1))]
    target = draw(st.sampled_from(messages))
    place = draw(st.integers(0, len(target) - 1))
    if draw(st.booleans()):
        if isinstance(target[place], dict) and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(target[place])) | st.text(max_size=5))
            target[place] = {**target[place], key: draw(ANYTHING)}
        else:
            target[place] = draw(ANYTHING)
    elif draw(st.booleans()):
        target.insert(place, draw(ANYTHING))
    else:
        del target[place]
    outbox = bytearray(cbor2.dumps(messages))
    if draw(st.booleans()):
        outbox[draw(st.integers(0, len(outbox) - 1))] = draw(st.integers(0, 255))
    return bytes(outbox[: draw(st.integers(0, len(outbox)))] if draw(st.booleans()) else outbox)


def test_right_messages_are_read_as_what_they_are() -> None:
    """Or the test below would have nothing to mutate."""
    kinds = [message.KIND for message in protocol.messages(cbor2.dumps(RIGHT))]
    assert kinds == [message[0] for message in RIGHT]


@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANYTHING.map(cbor2.dumps) | st.binary() | mutated())
def test_an_outbox_gives_messages_or_unencodable_and_nothing_else(outbox: bytes) -> None:
    """Whatever a guest wrote there: a hostile one cannot choose another exception."""
    try:
        messages = protocol.messages(outbox)
    except Unencodable:
        return
    for message in messages:
        assert isinstance(message, protocol.FROM_GUEST)
        if isinstance(message, protocol.Call):
            _arguments(message)


def _arguments(call: protocol.Call) -> None:
    try:
        assert isinstance(protocol.arguments_of(call.arguments), list)
    except Unencodable:
        pass
