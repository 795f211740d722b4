"""Whether program text is complete: enough of the reader's rules to know when a line goes on.

The guest's reader decides what is valid; this only tells an open bracket, string or comment from
a closed one, so that Enter in the REPL does what one expects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(_OPENING.values())
_CHARACTER: Final = re.compile(r"#\\(?:[A-Za-z][\w-]*|.)", re.DOTALL)
_HERE_STRING: Final = re.compile(r"#<<([^\n]*)(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is open: ``depth`` brackets, the innermost at ``column``; ``inside`` names a string or comment."""

    depth: int
    column: int
    inside: str | None
    excess: bool

    @property
    def complete(self) -> bool:
        """Whether the text can be handed to the reader: all is closed, or never can be."""
        return self.excess or (self.depth == 0 and self.inside is None)


def read_state(text: str) -> Reading:
    """What is still open at the end of the text."""
    stack: list[int] = []
    at, end = 0, len(text)
    while at < end:
        char = text[at]
        if char in _OPENING:
            stack.append(at)
            at += 1
        elif char in _CLOSING:
            if not stack:
                return Reading(0, 0, None, excess=True)
            stack.pop()
            at += 1
        else:
            following = _skip(text, at)
            if isinstance(following, str):
                return _reading(text, stack, following)
            at = following
    return _reading(text, stack, None)


def _reading(text: str, stack: list[int], inside: str | None) -> Reading:
    column = stack[-1] - (text.rfind("\n", 0, stack[-1]) + 1) if stack else 0
    return Reading(len(stack), column, inside, excess=False)


def _skip(text: str, at: int) -> int | str:
    """Where the token that begins here ends, or the name of what is never closed."""
    char, pair = text[at], text[at : at + 2]
    if char in '"|':
        end = _closing_quote(text, at + 1, char)
        return end if end else ("string" if char == '"' else "symbol")
    if char == ";":
        newline = text.find("\n", at)
        return len(text) if newline < 0 else newline + 1
    if pair == "#|":
        end = _closing_comment(text, at + 2)
        return end or "comment"
    if pair == "#\\":
        match = _CHARACTER.match(text, at)
        return match.end() if match else "character"
    if pair == "#<":
        match = _HERE_STRING.match(text, at)
        if match:
            found = re.compile(rf"^{re.escape(match.group(1))}$", re.M).search(text, match.end())
            return found.end() if found else "here string"
    return at + 1


def _closing_quote(text: str, at: int, quote: str) -> int:
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] == quote:
            return at + 1
        else:
            at += 1
    return 0


def _closing_comment(text: str, at: int) -> int:
    """Block comments nest."""
    depth = 1
    for match in re.compile(r"#\||\|#").finditer(text, at):
        depth += 1 if match.group() == "#|" else -1
        if depth == 0:
            return match.end()
    return 0


def indentation(text: str) -> int:
    """How far the next line is set in: two columns from the innermost open bracket."""
    state = read_state(text)
    return state.column + 2 if state.depth and state.inside is None else 0
