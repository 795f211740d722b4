"""What program text is made of: enough of the reader's rules to know whether a line goes on, where forms end.

The guest's reader decides what is valid; this only tells an open bracket, string or comment from
a closed one, so that Enter in the REPL does what one expects, and one form of an entry from the next.
"""

from __future__ import annotations

import re
from typing import Final

from rlm_wasm.lazy_dataclass import dataclass

_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(_OPENING.values())
_CHARACTER: Final = re.compile(r"#\\(?:[A-Za-z][\w-]*|.)", re.DOTALL)
_WORD: Final = re.compile(r"[^\s()\[\]{}\"';`,|]+")
_PREFIX: Final = re.compile(r"#?['`&]|#?,@?")
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


def forms(text: str) -> list[tuple[int, int]]:
    """Where the top-level forms of a complete text begin and end. What ``#;`` hides is none."""
    found: list[tuple[int, int]] = []
    at = 0
    while (at := _blank(text, at)) < len(text):
        end = _datum_end(text, at)
        found.append((at, end))
        at = end
    return found


def uses(text: str, name: str) -> bool:
    """Whether a name stands in the text as a word, not in a string or a comment."""
    at = 0
    while (at := _blank(text, at)) < len(text):
        word = None if text[at] in '"|' or text.startswith(("#\\", "#<<"), at) else _WORD.match(text, at)
        if word is not None and word.group() == name:
            return True
        following = word.end() if word is not None else _skip(text, at)
        if isinstance(following, str):
            break
        at = following
    return False


def _blank(text: str, at: int) -> int:
    """Where the next datum begins: after space and comments of all three kinds."""
    while at < len(text):
        if text.startswith("#;", at):
            at = _datum_end(text, _blank(text, at + 2))
        elif text[at] == ";" or text.startswith("#|", at):
            following = _skip(text, at)
            at = len(text) if isinstance(following, str) else following
        elif text[at].isspace():
            at += 1
        else:
            break
    return at


def _datum_end(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] in _OPENING:
            depth, at = depth + 1, at + 1
        elif text[at] in _CLOSING:
            depth, at = depth - 1, at + 1
        elif prefix := _PREFIX.match(text, at):
            at = _blank(text, prefix.end())
            continue
        elif text[at] in '"|' or text.startswith(("#\\", "#<<"), at):
            following = _skip(text, at)
            at = len(text) if isinstance(following, str) else following
        else:
            word = _WORD.match(text, at)
            at = word.end() if word is not None else at + 1
            if (
                word is not None
                and word.group().startswith("#")
                and text[at : at + 1] in ("(", "[", "{", '"')
            ):
                continue  # #(…), #hash(…), #px"…"
        if depth <= 0:
            return at
        at = _blank(text, at)
    return at


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
