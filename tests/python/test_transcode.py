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
from rlm_wasm.errors import LimitExceeded, PythonFailure
from rlm_wasm.python import codec, transcode, values
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
    return b"".join(transcode.value_to_cbor(text.encode(), go_on))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large."""
    monkeypatch.setattr(transcode, "WINDOW", 30)
    monkeypatch.setattr(transcode, "BLOCK", 40)
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
    max_examples=500,
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
    max_examples=300,
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

    monkeypatch.setattr(transcode, "WINDOW", 1_000)
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
        transcode.value_to_cbor(json.dumps([[[[[[i]]]]] for i in range(20_000)]).encode(), check)
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


async def test_what_is_asked_of_the_host_is_bounded_before_it_is_read(make: Make) -> None:
    """An answer, and not a million lists."""
    python = make("wasi", limits=Limits(message_bytes=1 << 20))
    for request in ("'[' + '[],' * 100000 + '1]'", "'\"' + 'a' * (2 << 20) + '\"'"):
        reply = await run(python, "eval", f"import wit_world\nwit_world.host({request})")
        assert "error" in json.loads(reply.value)


async def test_a_context_comes_in_parts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is whole; an empty one is there, too."""
    from rlm_wasm.python import wasi

    monkeypatch.setattr(wasi, "CONTEXT_PART", 7)
    python = make("wasi")
    text = "größer als ein Teil \U0001f600, " * 10
    python.set_context(None, text)
    python.set_context("empty", "")
    assert (await run(python, "eval", "context")).value == text
    assert (await run(python, "eval", "[contexts['empty'], 'other' in contexts]")).value == ["", False]
