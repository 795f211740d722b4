"""Long texts in ASCII on their way into a guest: their characters are written into its memory once, or never.

Python keeps such a text as the guest does, a byte a character. So it is neither encoded nor decoded: the
guest says where the characters of the string will stand, and they are put there. A text that several guests
want, or one of them again and again, stands in layers, too, and its pages are mapped from there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from typing import Any
from weakref import WeakValueDictionary

from rlm_wasm.sandbox.layers import Extent, LayerFile, Piece
from rlm_wasm.sandbox.pages import PAGE, address_of, moved

LONG_TEXT = 1 << 18
"""Characters from which on a text is put into the guest's memory apart from its message."""

BEGINS = 24
"""Bytes of the first page that stand before a long string's characters in the guest: its headers."""
MAPPED_AT_FIRST = 4 << 20
"""Characters of a text that is mapped when it is wanted for the first time. To copy a shorter one once takes
less than to write it to a layer."""

_ASCII_AT_ONCE = 1 << 16
_PIECES_A_TURN = 64

_characters_of = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
_characters_of.argtypes = (ctypes.py_object, ctypes.c_void_p)
_characters_of.restype = ctypes.c_void_p


class LongText:
    """So many characters of a text, or bytes of a message, that are ASCII. Nobody has copied them."""

    __slots__ = ("_length", "_source", "_start", "shared")

    def __init__(self, source: str | bytes, start: int, end: int, shared: SharedText | None = None) -> None:
        self._source = source
        self._start = start
        self._length = end - start
        self.shared = shared
        """The whole text, where others may want it, too."""

    def __len__(self) -> int:
        return self._length

    def address(self) -> int:
        """Where they stand, as long as somebody has this object."""
        source = self._source
        begins = address_of(source) if isinstance(source, bytes) else int(_characters_of(source, None))
        return begins + self._start

    def copied(self, into: int, check: Callable[[], None]) -> Generator[None, None, None]:
        """Put them to this address; it yields between pieces, and asks after each whether it may go on."""
        yield from moved(self.address(), into, self._length, check)

    def pieces(self, first: int) -> Generator[None, None, list[Piece]]:
        """What can be mapped where the characters begin in a memory's page ``first``, behind BEGINS bytes.

        None of it is that page, or the last one where the text ends in its middle: ``between`` says which
        characters are. It yields while it writes what has not stood in a layer. Raises OSError.
        """
        count = self._whole_pages()
        if self.shared is None or self._start % PAGE or count <= 0 or not self.shared.is_worth_mapping():
            return []
        return (yield from self.shared.pieces(self._start // PAGE, first + 1, count))

    def between(self) -> tuple[int, int]:
        """From which character to which the pieces hold them."""
        return PAGE - BEGINS, PAGE - BEGINS + self._whole_pages() * PAGE

    def _whole_pages(self) -> int:
        return (BEGINS + self._length) // PAGE - 1


class SharedText:
    """A whole text in ASCII, and the layers that it stands in: one for all that have the same object."""

    __slots__ = ("__weakref__", "_extents", "_pages", "_wanted", "text")

    _CHUNK = 2048
    """Pages that are written together: who maps some of them keeps the rest."""
    _WRITTEN_AT_ONCE = 128

    def __init__(self, text: str) -> None:
        self.text = text
        self._pages = (BEGINS + len(text)) // PAGE - 1
        self._extents: dict[int, Extent] = {}
        self._wanted = False

    @classmethod
    def of(cls, text: str) -> SharedText:
        """That of a text. While somebody has it, it is the same."""
        known = _shared.get(id(text))
        if known is None or known.text is not text:
            known = _shared[id(text)] = cls(text)
        return known

    def part(self, start: int, end: int) -> LongText | str:
        """Some of its characters: a long text where they are many."""
        if end - start < LONG_TEXT:
            return self.text[start:end]
        return LongText(self.text, start, end, self)

    def is_worth_mapping(self) -> bool:
        """Whether it is long, or was wanted before."""
        before, self._wanted = self._wanted, True
        return before or len(self.text) >= MAPPED_AT_FIRST

    def pieces(self, behind: int, page: int, count: int) -> Generator[None, None, list[Piece]]:
        """So many of its pages, those of its beginning left out, for a memory in which they follow ``page``.

        It yields while it writes. Raises OSError.
        """
        out: list[Piece] = []
        at, end = behind, behind + count
        while at < end:
            number, within = divmod(at, self._CHUNK)
            part = min(self._CHUNK - within, end - at)
            extent = self._extents.get(number)
            if extent is None:
                extent = yield from self._written(number)
            out.append(Piece(page + at - behind, part, extent, within))
            at += part
        return out

    def _written(self, number: int) -> Generator[None, None, Extent]:
        first = number * self._CHUNK
        pages = min(self._CHUNK, self._pages - first)
        extent = LayerFile.current().reserve(pages)
        start = LongText(self.text, 0, 0).address() - BEGINS + (first + 1) * PAGE
        for at in range(0, pages, self._WRITTEN_AT_ONCE):
            extent.write(at, start + at * PAGE, min(self._WRITTEN_AT_ONCE, pages - at))
            yield
        return self._extents.setdefault(number, extent)  # another session may have been quicker


_shared: WeakValueDictionary[int, SharedText] = WeakValueDictionary()


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
