"""Lines of a context: right for every text, and what was skipped over once is not looked at again."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_wasm.capabilities.contexts import Contexts
from rlm_wasm.errors import UsageError


def lines(contexts: Contexts, start: int, end: int) -> list[str]:
    """What the guest gets."""
    found = asyncio.run(done(contexts.table()["context-lines"]([start, end, False])))
    assert isinstance(found, list)
    return found


async def done(answer: Any) -> Any:
    """What an operation gives, at once or after turns of the event loop."""
    return await answer if inspect.isawaitable(answer) else answer


@given(
    st.text(st.sampled_from("ab\r\n")),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([1, 2, 1 << 16]),
)
def test_lines_are_those_of_the_whole_text(text: str, start: int, count: int, block: int) -> None:
    """However the text ends, and in whatever order they are asked for."""
    whole = text.split("\n")
    if not whole[-1]:
        whole.pop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlm_wasm.capabilities.contexts._BLOCK", block)
        contexts = Contexts()
        contexts.load(text, None)
        for first in (start, 0, start):
            expected = [line.removesuffix("\r") for line in whole[first : first + count]]
            assert lines(contexts, first, first + count) == expected


@given(
    st.text(st.sampled_from("ab\n"), max_size=40), st.text(st.sampled_from("ab\n"), min_size=1, max_size=3)
)
def test_a_search_gives_the_first_hit_of_each_line_however_the_text_is_cut(text: str, pattern: str) -> None:
    """A hit that lies across two parts is found as well."""
    expected, at = [], text.find(pattern)
    while at >= 0:
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        end = len(text) if end < 0 else end
        expected.append([at, text[start:end]])
        at = text.find(pattern, max(end, at + 1))
    for part in (1, 2, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rlm_wasm.capabilities.contexts._A_TURN", part)
            contexts = Contexts()
            contexts.load(text, None)
            found = contexts.table()["context-search"]([pattern, False, False])
            assert asyncio.run(done(found)) == expected


class Counted(str):
    """A text that counts the characters that were looked through."""

    __slots__ = ()

    looked = 0

    def count(self, part: str, start: int = 0, end: int = 0) -> int:  # type: ignore[override]
        Counted.looked += end - start
        return super().count(part, start, end)


async def test_a_line_is_found_without_reading_the_text_again() -> None:
    """Five hundred fibers that ask for the first line of a large context stood in each other's way."""
    text = Counted("some words\n" * 100_000)
    charged: list[int] = []
    contexts = Contexts(charge=charged.append)
    contexts.load(text, None)
    Counted.looked = 0
    for _ in range(500):
        assert await done(contexts.table()["context-lines"]([0, 1, False])) == ["some words"]
    assert await done(contexts.table()["context-lines"]([99_999, 10**9, False])) == ["some words"]
    assert Counted.looked <= len(text) + (1 << 16)
    assert charged == [11] * 501


async def test_a_part_that_no_message_could_hold_is_refused_before_it_is_made() -> None:
    """By slices and lines alike."""
    contexts = Contexts(max_bytes=100)
    contexts.load("line\n" * 100, None)
    for operation in ("context-lines", "context-slice"):
        with pytest.raises(UsageError, match="more than a message may have"):
            await done(contexts.table()[operation]([0, 400, False]))


def test_a_new_text_has_new_lines() -> None:
    """Nothing of the old one is remembered."""
    contexts = Contexts()
    for text in ("a\nb", "c\nd"):
        contexts.load(text, None)
        assert lines(contexts, 1, 2) == [text[2]]
    with pytest.raises(IndexError):
        lines(contexts, 2, 1)
