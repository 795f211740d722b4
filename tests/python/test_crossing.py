"""Values that go from one guest to the other are the same as if somebody had decoded them, and nobody does."""

from __future__ import annotations

import gc
import json
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime
from rlm_wasm.data import VOID, Box, Char, ImproperList, Keyword, Symbol
from rlm_wasm.errors import LimitExceeded, PythonFailure, UsageError
from rlm_wasm.python import codec, to_cbor, to_json, values, wasi
from rlm_wasm.python.values import to_scheme
from rlm_wasm.sandbox import protocol
from rlm_wasm.testing import InlineProvider

from .conftest import Make, run


def no_reference(value: Any) -> list[Any]:
    """Objects are known by a number and their text."""
    return [7, type(value).__name__]


def go_on() -> None:
    """Nobody stops it."""


def crossed(text: str) -> bytes:
    """As it crosses."""
    return b"".join(to_cbor.value_to_cbor(text.encode(), go_on))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large."""
    monkeypatch.setattr(to_cbor, "WINDOW", 30)
    monkeypatch.setattr(to_cbor, "BLOCK", 40)
    monkeypatch.setattr(values, "BLOCK", 40)


hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.sampled_from('a,[]{}:"\\é\n\0$'))
    | st.binary(max_size=90),
    lambda inner: st.tuples(inner, inner),
    max_leaves=4,
)
anything = st.recursive(
    hashable | st.floats(allow_nan=False) | st.fractions() | st.builds(object),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.sampled_from('a"$é,')), inner)
        | st.dictionaries(hashable, inner)
        | st.frozensets(hashable)
    ),
    max_leaves=40,
)


@pytest.mark.usefixtures("narrow")
@given(anything)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_value_that_is_gone_through_in_place_is_the_one_that_would_be_decoded(value: Any) -> None:
    """Whatever a window cuts in two."""
    text = codec.dumps(value, no_reference)
    assert cbor2.loads(crossed(text)) == cbor2.loads(protocol.encode(to_scheme(text)))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    "value",
    [
        -(16**100),
        16**100,
        7**300,
        -(7**299),
        b"ab" * 200,
        "a\\n" * 100,
        "é" * 200,
        "\\" * 201,
        "x\U0001f600\\u" * 50,
        {("k" * 60, (1,) * 40): ("v",) * 40},
        {"k" * 60: {"$": [1] * 40}},
        [[[[[[[1] * 9] * 2] * 2] * 2] * 2] * 2],
    ],
    ids=str,
)
def test_what_does_not_fit_a_window_by_itself_is_the_same(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long integers, texts, bytes and keys."""
    monkeypatch.setattr(codec, "LONG_BITS", 100)
    for item in (value, [value], {"a": value, "b": 1}, {1: value, 2: value}):
        text = codec.dumps(item, no_reference)
        assert cbor2.loads(crossed(text)) == cbor2.loads(protocol.encode(to_scheme(text)))


@pytest.mark.usefixtures("narrow")
@given(anything, st.data())
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_text_that_was_tampered_with_is_refused_or_a_value(value: Any, data: st.DataObject) -> None:
    """Nothing but what a back end knows as the code's own failure comes out of it."""
    text = codec.dumps(value, no_reference)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(at, min(len(text), at + 3)))
    text = text[:at] + data.draw(st.text(st.sampled_from('[]{},:"$ 1e-\\u'), max_size=3)) + text[cut:]
    try:
        made = crossed(text)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, protocol.Unencodable):
        return
    # Numbers of chosen sizes, and keys that are one in Python, are the guest's to judge.
    assert made


def test_no_more_than_a_window_of_a_large_value_is_ever_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So no more lists and tables are alive at once than stand in one: the collector has none to look at."""
    text = codec.dumps(
        [{str(i): {j: [j] for j in range(20)} for i in range(60)} for _ in range(10)], no_reference
    )
    before, most = len(gc.get_objects()), 0
    real = protocol.encode

    def watched(value: Any) -> bytes:
        nonlocal most
        most = max(most, len(gc.get_objects()) - before)
        return real(value)

    monkeypatch.setattr(to_cbor, "WINDOW", 1_000)
    monkeypatch.setattr(protocol, "encode", watched)
    made = crossed(text)
    monkeypatch.undo()
    assert cbor2.loads(made) == cbor2.loads(protocol.encode(to_scheme(text)))
    assert 0 < most < 1_000


def test_a_value_that_nobody_waits_for_is_gone_through_no_longer() -> None:
    """A call whose time is over."""
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise LimitExceeded("timeout_s", 1, 1)

    with pytest.raises(LimitExceeded):
        to_cbor.value_to_cbor(json.dumps([[[[[[i]]]]] for i in range(20_000)]).encode(), check)
    assert asked == 3


async def test_a_large_value_of_every_kind_comes_out_of_python() -> None:
    """To the Scheme guest, which has the last word on what is well-formed."""
    program = """
      (define v (py-eval "{'l': [[i] for i in range(20000)], 'd': {(i, str(i)): i for i in range(9000)}, 't': 'é' * 400000, 'b': b'ab' * 300000, 'n': -(16 ** 20000)}"))
      (list (apply + (map car (hash-ref v "l"))) (hash-ref (hash-ref v "d") (vector 7 "7")) (hash-count (hash-ref v "d"))
            (string-length (hash-ref v "t")) (bytes-length (hash-ref v "b")) (= (hash-ref v "n") (- (expt 16 20000))))
    """
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program)
    assert result.data == [199990000, 7, 9000, 400000, 600000, True], result.error


@pytest.mark.parametrize(
    "answer",
    [
        "'1\\n[' + '[],' * 500000 + '1]'",
        '\'1\\n{"stdout": "\' + "a" * (17 << 20) + \'", "stderr": ""}\'',
        "'1\\n5'",
        "'1\\n[]'",
    ],
)
async def test_what_is_said_beside_a_value_is_bounded_before_it_is_read(make: Make, answer: str) -> None:
    """It could be as many lists as fit a message."""
    python = make("wasi", limits=Limits())
    await run(python, "exec", f"import app\napp.run = lambda request: {answer}")
    with pytest.raises(PythonFailure, match="broke its driver"):
        await run(python, "eval", "1")


async def test_what_is_asked_of_the_host_is_bounded_before_it_is_read(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer, and not a million lists."""
    monkeypatch.setattr(wasi, "REQUEST_LIMIT", 1 << 20)
    python = make("wasi", limits=Limits(message_bytes=1 << 20))
    for request in ("'[' + '[],' * 100000 + '1]'", "'\"' + 'a' * (2 << 20) + '\"'"):
        reply = await run(python, "eval", f"import wit_world\nwit_world.host({request})")
        assert "error" in json.loads(reply.value)


async def test_a_context_comes_in_parts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is whole; an empty one is there, too."""
    monkeypatch.setattr(wasi, "CONTEXT_PART", 7)
    python = make("wasi")
    text = "größer als ein Teil \U0001f600, " * 10
    python.set_context(None, text)
    python.set_context("empty", "")
    assert (await run(python, "eval", "context")).value == text
    assert (await run(python, "eval", "[contexts['empty'], 'other' in contexts]")).value == ["", False]


# ---- into Python


def handed_over(packed: bytes, operation: str = "set", limit: int = 1 << 20) -> Any:
    """What stands inside then, of a call's encoded arguments that are large."""
    text, _ = to_json.request_of(operation, packed, limit, go_on)
    return codec.loads(text.decode().removeprefix(f"{operation}\n"), lambda content: ("object", *content))


def decoded_first(packed: bytes) -> Any:
    """The same, of small ones."""

    def known(reference: values.Reference) -> list[Any]:
        return [reference.key, reference.text]

    given = values.arguments_of("set", protocol.decode(packed))
    return codec.loads(codec.dumps(given, known), lambda content: ("object", *content))


names = st.text(st.sampled_from('a"$é\n\\'), max_size=3)
atoms = (
    st.none()
    | st.just(VOID)
    | st.booleans()
    | st.integers()
    | st.just(-(7**200))
    | st.floats(allow_nan=False)
    | st.fractions()
    | st.complex_numbers(allow_nan=False)
    | names
    | names.map(Symbol)
    | names.map(Keyword)
    | st.sampled_from("a$\U0001f600").map(Char)
    | st.binary()
    | st.just((values.OBJECT, 17, "<an object>"))
)
keys = st.recursive(atoms, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=3)
scheme = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.builds(lambda items, tail: ImproperList((tail, *items), tail), st.lists(inner), atoms)
        | inner.map(Box)
        | st.dictionaries(names, inner)
        | st.dictionaries(keys, inner)
        | st.frozensets(keys)
    ),
    max_leaves=30,
)


@pytest.fixture
def short_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are longer than an integer may be as a decimal."""
    monkeypatch.setattr(codec, "LONG_BITS", 300)


@pytest.mark.usefixtures("short_integers")
@given(scheme)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_large_arguments_are_the_same_inside_as_small_ones(value: Any) -> None:
    """And what has no form is refused either way."""
    packed = protocol.encode(["x", value])
    try:
        expected = decoded_first(packed)
    except (UsageError, protocol.Unencodable):
        with pytest.raises((UsageError, protocol.Unencodable)):
            handed_over(packed)
        return
    assert handed_over(packed) == expected


@given(scheme, st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_arguments_that_were_tampered_with_are_refused_or_read(value: Any, data: st.DataObject) -> None:
    """A guest that was taken over gets an error of its own, and text that is JSON."""
    packed = bytearray(protocol.encode(["x", value]))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        text, _ = to_json.request_of("set", bytes(packed), 1 << 20, go_on)
    except (UsageError, protocol.Unencodable):
        return
    json.loads(text.removeprefix(b"set\n"))


async def test_arguments_of_every_kind_that_are_large_arrive() -> None:
    """As the Scheme guest writes them: structs, tables of its own kinds, sets, vectors of numbers, long text."""
    program = """
      (struct point (x y) #:transparent)
      (define h (make-hash))
      (for ([i 9000]) (hash-set! h (list i (number->string i)) (list i)))
      (hash-set! h 'symbol 1) (hash-set! h "$" 2)
      (py-set! "v" (list (point 1 (vector 2 3)) h (list->set (range 9000)) (make-string 300000 #\\é) (flvector 1.5 2.5)
                         (make-bytes 300000 65) (cons 1 2) (box 'b) #\\c (/ 1 3) (make-vector 20000 '()) (expt 7 5000)))
      (py-eval "[v[0], v[1][(7, '7')], v[1]['symbol'], v[1]['$'], len(v[1]), sum(v[2]), len(v[3]), v[3][-1], list(v[4]), len(v[5]), v[5][:2] == b'AA', v[6:9], str(v[9]), v[10][-1], v[11] == 7 ** 5000]")
    """
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program)
    assert result.data == [
        {"x": 1, "y": [2, 3]}, [7], 1, 2, 9002, 9000 * 8999 // 2, 300000, "é", [1.5, 2.5], 300000, True,
        [[1, 2], "b", "c"], "1/3", [], True,
    ], result.error  # fmt: skip


async def test_large_arguments_of_a_call_and_large_code() -> None:
    """An object of Python's comes back to Python beside them."""
    program = """
      (define o (py-eval "type('A', (), {'f': lambda self, other, items: (other is self, len(items))})()"))
      (list (py-call o "f" o (make-list 70000 '())) (py-eval (string-append "# " (make-string 70000 #\\x) "\\n6 * 7"))
            (guard (e (#t (condition/report-string e))) (py-call "o" (make-list 70000 '())))
            (guard (e (#t (condition/report-string e))) (py-set! "not a name" (make-list 70000 '()))))
    """
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program)
    assert result.data[:2] == [[True, 70000], 42], result.error
    assert "must be a Python object" in result.data[2]
    assert "no name of a Python variable" in result.data[3]


async def test_large_arguments_reach_the_trusted_back_end_as_values(make: Make) -> None:
    """They are its process's in any case."""
    python = make("host")
    packed = protocol.encode(["x", [[i] for i in range(30_000)]])
    await python.run("set", packed, fuel=1, timeout_s=60)
    assert (await run(python, "eval", "sum(map(sum, x))")).value == 30_000 * 29_999 // 2


def test_nothing_of_large_arguments_is_made_in_the_host() -> None:
    """The collector has no list and no table to look at."""
    packed = protocol.encode(["x", [{str(i): [[i]] for i in range(50)} for _ in range(100)]])
    before, seen = len(gc.get_objects()), []

    to_json.request_of("set", packed, 1 << 20, lambda: seen.append(len(gc.get_objects()) - before))
    assert len(seen) >= 10
    assert max(seen) < 50


@pytest.mark.parametrize(("most", "limit"), [(3_000, 1 << 20), (1_000_000, 5_000)])
def test_arguments_of_too_many_parts_or_bytes_are_refused(
    most: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before all of them were looked at."""
    monkeypatch.setattr(codec, "MAX_NODES", most)
    with pytest.raises(UsageError, match=r"send less|message_bytes"):
        handed_over(protocol.encode(["x", [[]] * 4_000]), limit=limit)


def test_keys_whose_hashes_were_chosen_to_collide_are_compared_by_text() -> None:
    """Forty thousand of them are as quick as any others, and two that are one in Python are found."""
    count = 40_000
    pairs = b"".join(protocol.encode(k * (2**61 - 1)) + b"\x00" for k in range(count))
    text, _ = to_json.request_of("set", b"\x82\x61x" + protocol.head_of(5, count) + pairs, 1 << 24, go_on)
    assert text.count(b"], [") == count - 1
    for one, other in ((b"\x01", b"\xf9\x3c\x00"), (b"\x01", b"\xf5"), (b"\x61a", b"\xd8\x27\x61a")):
        packed = b"\x82\x61x\xa2" + one + b"\x00" + other + b"\x00"
        with pytest.raises(UsageError, match="one in Python"):
            to_json.request_of("set", packed, 1 << 20, go_on)


def test_arguments_nested_too_deep_are_refused() -> None:
    """As the caller's mistake."""
    packed = b"\x82\x61x" + b"\x81" * 300 + b"\x00"
    with pytest.raises(UsageError, match="deeper than 200"):
        handed_over(packed)
    with pytest.raises(UsageError, match="deeper than 200"):
        handed_over(b"\x82\x61x\xa1" + b"\x81" * 300 + b"\x00\x00")
