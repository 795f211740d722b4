"""Long texts in ASCII on their way into a guest: their characters are written into its memory once.

Python keeps such a text as the guest does, a byte a character. So it is neither encoded nor decoded: the
guest says where the characters of the string will stand, and they are put there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from typing import Any

from rlm_wasm.sandbox.pages import address_of, moved

LONG_TEXT = 1 << 18
"""Characters from which on a text is put into the guest's memory apart from its message."""

_ASCII_AT_ONCE = 1 << 16
_PIECES_A_TURN = 64

_characters_of = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
_characters_of.argtypes = (ctypes.py_object, ctypes.c_void_p)
_characters_of.restype = ctypes.c_void_p


class LongText:
    """So many characters of a text, or bytes of a message, that are ASCII. Nobody has copied them."""

    __slots__ = ("_length", "_source", "_start")

    def __init__(self, source: str | bytes, start: int, end: int) -> None:
        self._source = source
        self._start = start
        self._length = end - start

    def __len__(self) -> int:
        return self._length

    def address(self) -> int:
        """Where they stand, as long as somebody has this object."""
        source = self._source
        begins = address_of(source) if isinstance(source, bytes) else int(_characters_of(source, None))
        return begins + self._start

    def copied(self, into: int, check: Callable[[], None]) -> Generator[None, None, None]:
        """Put them to this address; it yields between pieces, and asks after each whether it may go on."""
        return moved(self.address(), into, self._length, check)


def long_text(value: Any) -> LongText | None:
    """A text that is put into the guest's memory apart; None for what is none, or is not long."""
    if type(value) is str and len(value) >= LONG_TEXT and value.isascii():
        return LongText(value, 0, len(value))
    return value if type(value) is LongText else None


def is_ascii(content: bytes, start: int) -> Generator[None, None, bool]:
    """Whether what stands there from ``start`` on is. It yields between pieces."""
    for number, at in enumerate(range(start, len(content), _ASCII_AT_ONCE), 1):
        if not content[at : at + _ASCII_AT_ONCE].isascii():
            return False
        if number % _PIECES_A_TURN == 0:
            yield
    return True
