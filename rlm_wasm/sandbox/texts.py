"""Long texts on their way into a guest: their characters are written into its memory once, or never.

Python keeps a text as the guest does, in as many bytes a character as the widest needs: one, two or four. So
it is neither made UTF-8 nor decoded: the guest says where the characters of the string will stand, and they
are put there. A text that several guests want, or one of them again and again, stands in layers, too, and its
pages are mapped from there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Iterator
from typing import Any
from weakref import WeakValueDictionary

from rlm_wasm.sandbox.layers import Extent, LayerFile, Piece
from rlm_wasm.sandbox.pages import PAGE, address_of, moved

LONG_TEXT = 1 << 18
"""Characters from which on a text is put into the guest's memory apart from its message."""
MOST_BYTES = (64 << 20) - PAGE
"""Of its characters: the guest takes no more at once. A longer one comes in its message."""
BEGINS = 24
"""Bytes of the first page that stand before a long string's characters in the guest: its headers."""
MAPPED_AT_FIRST = 4 << 20
"""Bytes of a text that is mapped when it is wanted for the first time. To copy a shorter one once takes less
than to write it to a layer."""

_AT_ONCE = 1 << 16
"""Characters that are looked at together: they stay in the processor's cache."""
_PIECES_A_TURN = 8
_FORMS = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}
"""What a text is encoded as to be what the guest has, by its bytes a character."""

_characters_of = ctypes.pythonapi["PyUnicode_AsUTF8AndSize"]  # one of our own, as in pages.py
_characters_of.argtypes = (ctypes.py_object, ctypes.c_void_p)
_characters_of.restype = ctypes.c_void_p


class LongText:
    """So many characters of a text, or ASCII bytes of a message. Nobody has copied them."""

    __slots__ = ("_end", "_source", "_start", "shared", "width")

    def __init__(
        self, source: str | bytes, start: int, end: int, *, width: int = 1, shared: SharedText | None = None
    ) -> None:
        self._source = source
        self._start = start
        self._end = end
        self.width = width
        """Bytes a character: as many as the widest of these needs."""
        self.shared = shared
        """The whole text, where others may want it, too."""

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def size(self) -> int:
        """Bytes of its characters in the guest."""
        return len(self) * self.width

    @property
    def is_ascii(self) -> bool:
        """Whether its characters stand in its source as they do in the guest, and as in UTF-8."""
        return isinstance(self._source, bytes) or self._source.isascii()

    def text(self) -> str:
        """As text."""
        part = self._source[self._start : self._end]
        return part.decode("ascii") if isinstance(part, bytes) else part

    def address(self) -> int:
        """Where they stand, as long as somebody has this object. Only where they are ASCII."""
        source = self._source
        begins = address_of(source) if isinstance(source, bytes) else int(_characters_of(source, None))
        return begins + self._start

    def copied(
        self, into: int, check: Callable[[], None], start: int = 0, end: int | None = None
    ) -> Generator[None, None, None]:
        """Put them to this address; it yields between pieces, and asks after each whether it may go on.

        ``start``, ``end``: only those bytes of them, the first of which goes to that address.
        """
        end = self.size if end is None else end
        if self.is_ascii:
            yield from moved(self.address() + start, into, end - start, check)
            return
        for number, (at, content) in enumerate(self._encoded(start, end)):
            if number and number % _PIECES_A_TURN == 0:
                yield
                check()
            ctypes.memmove(into + at - start, content, len(content))

    def _encoded(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """These bytes of them in pieces, each with the place of its first one: whole characters."""
        source, width = self._source, self.width
        assert isinstance(source, str)
        for at in range(start, end, _AT_ONCE * width):
            first, last = (self._start + place // width for place in (at, min(at + _AT_ONCE * width, end)))
            yield at, source[first:last].encode(_FORMS[width])

    def pages(self, start: int, count: int) -> Iterator[tuple[int, int, bytes | None]]:
        """So many pages of them from that byte on, in parts: where each is, how many, and what holds it."""
        most = _AT_ONCE * self.width // PAGE
        for at in range(0, count, most):
            some, first = min(most, count - at), start + at * PAGE
            if self.is_ascii:
                yield self.address() + first, some, None
            else:
                ((_, content),) = self._encoded(first, first + some * PAGE)
                yield address_of(content), some, content

    def pieces(self, first: int) -> Generator[None, None, list[Piece]]:
        """What can be mapped where the characters begin in a memory's page ``first``, behind BEGINS bytes.

        None of it is that page, or the last one where the text ends in its middle: ``between`` says which
        bytes are. It yields while it writes what has not stood in a layer. Raises OSError.
        """
        shared, count, before = self.shared, self._whole_pages(), self._start * self.width
        if shared is None or count <= 0 or before % PAGE or shared.width != self.width:
            return []
        if not shared.is_worth_mapping():
            return []
        return (yield from shared.pieces(before // PAGE, first + 1, count))

    def between(self) -> tuple[int, int]:
        """From which byte to which the pieces hold them."""
        return PAGE - BEGINS, PAGE - BEGINS + self._whole_pages() * PAGE

    def _whole_pages(self) -> int:
        return (BEGINS + self.size) // PAGE - 1


class SharedText:
    """A whole text, and the layers that it stands in: one for all that have the same object."""

    __slots__ = ("__weakref__", "_extents", "_wanted", "text", "width")

    _CHUNK = 2048
    """Pages that are written together: who maps some of them keeps the rest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.width = 1 if text.isascii() else 0
        """Bytes a character; 0 where nobody has looked, or where it is no text for a guest."""
        self._extents: dict[int, Extent] = {}
        self._wanted = False

    @classmethod
    def of(cls, text: str) -> SharedText:
        """That of a text. While somebody has it, it is the same."""
        known = _shared.get(id(text))
        if known is None or known.text is not text:
            known = _shared[id(text)] = cls(text)
        return known

    def part(self, start: int, end: int) -> Generator[None, None, LongText | str]:
        """Some of its characters: a long text where they are many. It yields while it looks at them."""
        if end - start < LONG_TEXT:
            return self.text[start:end]
        if self.width == 0:
            self.width = yield from width_of(self.text, 0, len(self.text))
        width = self.width
        if width > 1 and end - start < len(self.text):
            width = yield from width_of(self.text, start, end)
        long = LongText(self.text, start, end, width=width, shared=self)
        return long if 0 < long.size <= MOST_BYTES else self.text[start:end]

    def is_worth_mapping(self) -> bool:
        """Whether it is long, or was wanted before; that it is wanted now is noted."""
        before, self._wanted = self._wanted, True
        return before or len(self.text) * self.width >= MAPPED_AT_FIRST

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
        whole = LongText(self.text, 0, len(self.text), width=self.width)
        first = number * self._CHUNK
        pages = min(self._CHUNK, (BEGINS + whole.size) // PAGE - 1 - first)
        extent = LayerFile.current().reserve(pages, shared=True)
        at = 0
        for address, count, content in whole.pages((first + 1) * PAGE - BEGINS, pages):
            extent.write(at, address, count)
            at += count
            del content
            yield
        return self._extents.setdefault(number, extent)  # another session may have been quicker


_shared: WeakValueDictionary[int, SharedText] = WeakValueDictionary()


def width_of(text: str, start: int, end: int) -> Generator[None, None, int]:
    """Bytes that the widest of these characters needs; 0 where one is none. It yields between pieces."""
    width = 1
    for number, at in enumerate(range(start, end, _AT_ONCE), 1):
        piece = text[at : min(at + _AT_ONCE, end)]
        if not piece.isascii():
            try:
                width = max(width, _width_of(piece))
            except UnicodeEncodeError:  # half of a surrogate pair
                return 0
        if number % _PIECES_A_TURN == 0:
            yield
    return width


def _width_of(piece: str) -> int:
    try:
        piece.encode("latin-1")
    except UnicodeEncodeError:
        return 2 if len(piece.encode("utf-16-le")) == 2 * len(piece) else 4
    return 1


def is_long(value: Any) -> bool:
    """Whether a value is a text that is put into the guest's memory apart, if it fits."""
    return (type(value) is str and len(value) >= LONG_TEXT) or type(value) is LongText


def long_text(value: str | LongText) -> Generator[None, None, LongText | None]:
    """One that ``is_long``; None where it does not fit, or has half of a surrogate pair. It yields."""
    if isinstance(value, LongText):
        return value
    if value.isascii():
        width = 1
    else:
        width = yield from width_of(value, 0, len(value))
    text = LongText(value, 0, len(value), width=width)
    return text if 0 < text.size <= MOST_BYTES else None


def text_in(content: bytes, start: int) -> Generator[None, None, LongText | None]:
    """What stands there from ``start`` on in UTF-8, where it is a long text. It yields between pieces."""
    ascii_to = start
    for number, at in enumerate(range(start, len(content), _AT_ONCE), 1):
        if not content[at : at + _AT_ONCE].isascii():
            break
        ascii_to = at + _AT_ONCE
        if number % _PIECES_A_TURN == 0:
            yield
    if ascii_to >= len(content):
        return LongText(content, start, len(content)) if len(content) - start >= LONG_TEXT else None
    import codecs

    decoder, pieces = codecs.getincrementaldecoder("utf-8")(), []
    try:
        for at in range(start, len(content), 16 * _AT_ONCE):
            pieces.append(decoder.decode(content[at : at + 16 * _AT_ONCE]))
            yield
        pieces.append(decoder.decode(b"", final=True))
    except UnicodeDecodeError:
        return None
    text = "".join(pieces)
    return (yield from long_text(text)) if len(text) >= LONG_TEXT else None
