"""How much of a text a model is shown."""

from __future__ import annotations

SHOWN = 10_000
"""Characters of a program, a value or an output that a model sees at the most, the mark included."""


def bounded(text: str, max_chars: int = SHOWN) -> str:
    """The text, or its head and tail with a mark between them that says how much is left out."""
    if len(text) <= max_chars:
        return text
    mark = f"\n[… {len(text) - max_chars:,} of {len(text):,} characters left out …]\n"
    room = max(max_chars - len(mark), 0)
    tail = room // 3
    return f"{text[: room - tail]}{mark}{text[len(text) - tail :] if tail else ''}"


def in_line(text: str, max_chars: int) -> str:
    """The text's beginning on one line."""
    line = " ".join(text[: 4 * max_chars].split())
    return line if len(line) <= max_chars and len(text) <= 4 * max_chars else f"{line[: max_chars - 1]}…"
