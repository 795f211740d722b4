"""The texts of a durable session's programs, as far as they may define something.

A guest's memory holds code, and no text. Where the session is to be carried over to another guest, its
definitions are made again from these. They are kept in the store, once, by their SHA-256.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

MAX_KEPT: Final = 1_000
"""Programs, of which the oldest are forgotten first."""
MAX_CHARACTERS: Final = 1 << 20
"""Of one program."""

_DEFINES: Final = r"def|set!|struct|import|require|syntax|class|module|include"


class KeptPrograms:
    """Hashes of texts, in the order in which they were given; of equal ones the last place counts."""

    __slots__ = ("_order", "whole")

    def __init__(self) -> None:
        self._order: dict[str, None] = {}
        self.whole = True
        """Whether none is missing that may have defined something."""

    @property
    def hashes(self) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(self._order)

    def given(self, text: str, keep: Callable[[str], str]) -> str | None:
        """A program is about to run; ``keep`` keeps its text and gives its hash.

        Given back is what ``undone`` needs; None where there is nothing to undo.
        """
        if re.search(_DEFINES, text, re.IGNORECASE) is None:
            return None
        if len(text) > MAX_CHARACTERS:
            self.whole = False
            return None
        key = keep(text)
        new = key not in self._order
        self._order.pop(key, None)
        self._order[key] = None
        while len(self._order) > MAX_KEPT:
            del self._order[next(iter(self._order))]
            self.whole = False
        return key if new else None

    def undone(self, key: str | None) -> None:
        """What that program did was rolled back."""
        if key is not None:
            self._order.pop(key, None)

    def adopt(self, hashes: Collection[str], *, whole: bool) -> None:
        """Those of a snapshot."""
        self._order = dict.fromkeys(hashes)
        self.whole = whole

    def clear(self) -> None:
        """Everything is forgotten, and begins anew."""
        self._order.clear()
        self.whole = True
