"""Lines of a context: right for every text, and what was skipped over once is not looked at again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_wasm.capabilities.contexts import Contexts, _LineIndex


def lines(contexts: Contexts, start: int, end: int) -> list[str]:
    """What the guest gets."""
    found = contexts.table()["context-lines"]([start, end, False])
    assert isinstance(found, list)
    return found


@given(
    st.text(st.sampled_from("ab\r\n")), st.integers(0, 12), st.integers(0, 12), st.sampled_from([1, 2, 256])
)
def test_lines_are_those_of_the_whole_text(text: str, start: int, count: int, every: int) -> None:
    """However the text ends, and in whatever order they are asked for."""
    whole = text.split("\n")
    if not whole[-1]:
        whole.pop()
    before, _LineIndex.EVERY = _LineIndex.EVERY, every
    try:
        contexts = Contexts()
        contexts.load(text, None)
        for first in (start, 0, start):
            expected = [line.removesuffix("\r") for line in whole[first : first + count]]
            assert lines(contexts, first, first + count) == expected
    finally:
        _LineIndex.EVERY = before


class Counted(str):
    """A text that counts how often it is searched."""

    finds = 0

    def find(self, *arguments: object) -> int:  # type: ignore[override]
        Counted.finds += 1
        return super().find(*arguments)  # type: ignore[arg-type]


def test_a_line_is_found_without_reading_the_text_again() -> None:
    """Five hundred fibers that ask for the first line of a large context stood in each other's way."""
    contexts = Contexts()
    contexts.texts[None] = Counted("some words\n" * 100_000)
    Counted.finds = 0
    for _ in range(500):
        assert lines(contexts, 0, 1) == ["some words"]
    assert Counted.finds <= 500
    assert lines(contexts, 99_999, 10**9) == ["some words"]
    first = Counted.finds
    assert first <= 101_000
    for _ in range(50):
        lines(contexts, 99_999, 10**9)
    assert Counted.finds - first <= 50 * _LineIndex.EVERY


def test_a_new_text_has_new_lines() -> None:
    """Nothing of the old one is remembered."""
    contexts = Contexts()
    for text in ("a\nb", "c\nd"):
        contexts.load(text, None)
        assert lines(contexts, 1, 2) == [text[2]]
    with pytest.raises(IndexError):
        lines(contexts, 2, 1)
