"""Values across the boundary."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_wasm.data import VOID, Char, ImproperList, Keyword, Symbol
from rlm_wasm.errors import Unencodable
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.protocol import decode, encode

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.fractions()
    | st.builds(Symbol, st.text(min_size=1))
    | st.builds(Keyword, st.text(min_size=1)),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.builds(
            lambda items, tail: ImproperList(tuple(items), tail), st.lists(inner, min_size=1), st.integers()
        )
    ),
    max_leaves=20,
)


def _like(a: Any, b: Any) -> bool:
    if type(a) is not type(b) and not isinstance(a, bool | int | float | Fraction):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_like(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_like(v, b[k]) for k, v in a.items())
    return bool(a == b)


@given(VALUES)
def test_what_is_encoded_comes_back(value: Any) -> None:
    """Kind and all."""
    assert _like(decode(encode(value)), value)


@given(st.text(), st.text())
def test_an_eval_message_put_together_by_hand_is_the_encoders(source: str, name: str) -> None:
    """The short way for the common case says the same."""
    assert cbor2.loads(protocol.evaluate(source, name, {})) == ["eval", {"source": source, "name": name}]


@given(st.lists(st.integers(), max_size=300))
def test_replies_are_an_array_of_what_was_encoded(items: list[int]) -> None:
    """However many."""
    assert cbor2.loads(protocol.replies_of([encode(i) for i in items])) == ["replies", items]


def test_what_has_no_form_in_scheme_is_named() -> None:
    """The embedder's function returned it, so the message says its type."""
    with pytest.raises(Unencodable, match="object"):
        encode([object()])


def test_half_a_character_is_replaced_on_its_way_to_the_guest() -> None:
    """At any depth; no bytes stand for it."""
    assert cbor2.loads(encode(["\ud800", {"\udfff": ["a\ud800"]}])) == ["\ufffd", {"\ufffd": ["a\ufffd"]}]


@given(st.binary())
def test_bytes_that_nobody_encoded_never_crash_the_decoder(data: bytes) -> None:
    """A broken guest is an Unencodable, nothing else."""
    try:
        decode(data)
    except Unencodable:
        pass


def test_deep_nesting_is_refused() -> None:
    """No recursion of the host's stack."""
    with pytest.raises(Unencodable):
        decode(b"\x81" * 100_000 + b"\x00")


def test_a_large_table_of_numbers_is_refused() -> None:
    """Integers can be chosen to collide in a dict; text cannot."""
    with pytest.raises(Unencodable):
        decode(encode({n * (2**61 - 1): n for n in range(5_000)}))
    assert len(decode(encode({str(n): n for n in range(5_000)}))) == 5_000


def test_void_characters_and_complex_numbers_cross() -> None:
    """The values that JSON has no word for."""
    assert encode(VOID) == b"\xf7"
    assert decode(encode(Char("é"))) == Char("é")
    assert decode(encode(1 + 2j)) == 1 + 2j
