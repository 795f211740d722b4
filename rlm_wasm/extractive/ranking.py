"""Ranks the lines or sentences of a text against search terms, in the manner of BM25.

The text is never cut into words: terms are found by ``str.find`` and ``str.count``, and only the
units around a hit are looked at. That is what lets pure Python read 100 MB in seconds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from concurrent.futures import CancelledError
from contextvars import ContextVar
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from rlm_wasm.extractive.instruction_parser import content_words
from rlm_wasm.lazy_dataclass import dataclass

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

_CANDIDATES: Final = 300
"""Enough units to choose from, in a text of up to 300,000 characters; one per 1,000 beyond that.
Terms are looked up rarest first, so the frequent ones only add to units found by rarer ones."""

_FAR: Final = 2_000
"""How far from a hit the sentence around it may begin: a line may be the whole document."""

_PROSE: Final = re.compile(r"\W{0,2}\w[^\n=<>{}|\\]*\s(?:[^\n]*\s){3}")
_SENTENCE_GAP: Final = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
_WRAPPED: Final = re.compile(r"[^\s.!?:;]\n[a-z]")
_WRAPPED_LINE: Final = re.compile(r"(?<=[^\s.!?:;])(?<=[^\n]{40})\n[ \t]*(?=[a-z(])")
_SINGLE_BREAK: Final = re.compile(r"(?<!\n)\n(?!\n|[ \t]*[-*•\d])")
_LINE_ENDS: Final = re.compile(r"\n\s*\n|\n")
_DIGIT: Final = re.compile(r"\d")
_BLOCK: Final = 1 << 18
"""Characters that are looked at in one go: a thread that does more keeps the event loop's waiting."""

given_up: Final[ContextVar[threading.Event | None]] = ContextVar("given_up", default=None)
"""Set where nobody waits for the answer any longer: then work on a large text ends."""

_LEAD: Final = 32 * 1024
"""How much of a text a summary without search terms looks at."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A line or sentence, where it stood, how well it fits, and which share of the terms it has."""

    text: str
    start: int
    score: float
    coverage: float


def unwrap(text: str) -> str:
    """Join the lines of hard-wrapped prose, so that sentences are whole."""
    sample = text[:8192]
    breaks = sample.count("\n")
    if breaks >= 3 and len(_WRAPPED.findall(sample)) * 2 >= breaks:
        return "".join(_SINGLE_BREAK.sub(" ", text[start:end]) for start, end in _blocks(text))
    return text


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Parts of a text, cut inside of lines as far as it has any that are not too long."""
    start = 0
    while start < len(text):
        event = given_up.get()
        if event is not None and event.is_set():
            raise CancelledError
        end = start + _BLOCK
        if end < len(text):
            space = text.rfind(" ", start, end)
            end = space if space > start and text[space - 1] != "\n" else end
        yield start, min(end, len(text))
        start = end


def _count(text: str, part: str) -> int:
    return sum(text.count(part, start, end + len(part) - 1) for start, end in _blocks(text))


def _find(text: str, part: str, at: int) -> int:
    """As ``text.find(part, at)``; where it is not near, others have a turn."""
    while at < len(text):
        end = at + _BLOCK
        offset = text.find(part, at, end + len(part) - 1)
        if offset >= 0:
            return offset
        event = given_up.get()
        if event is not None and event.is_set():
            raise CancelledError
        at = end
    return -1


def units_of(text: str) -> list[str]:
    """All lines and sentences of a (short) text."""
    units: list[str] = []
    for line in _LINE_ENDS.split(text):
        units += _SENTENCE_GAP.split(line.strip())
    return [unit.strip() for unit in units if unit.strip()]


def rank(text: str, terms: Sequence[str], phrases: Sequence[str] = (), *, digits: bool = False) -> list[Unit]:
    """The units of the text that hold a term, best first; equal ones in the text's order."""
    wanted = list(dict.fromkeys([*(_stem(term) for term in terms), *phrases]))
    if not wanted or not text:
        return []
    # U+0130 is the one character whose lower case is longer; offsets must not shift.
    lowered = "".join(text[start:end].replace("\u0130", "i").lower() for start, end in _blocks(text))
    counts = {term: _count(lowered, term) for term in wanted}
    present = sorted((t for t in wanted if counts[t]), key=lambda t: (counts[t], t))
    spans: set[tuple[int, int]] = set()
    for term in present:
        _collect(lowered, text, term, spans, max(_CANDIDATES, len(text) // 1_000))
    number_of_units = max(1, _count(lowered, "\n") + 1, len(text) // 100)
    weights = {t: math.log(1 + number_of_units / (counts[t] + 0.5)) for t in present}
    pairs = [f"{a} {b}" for a, b in pairwise(terms)]
    ranked: list[Unit] = []
    event = given_up.get()
    for start, end in spans:
        if event is not None and event.is_set():
            raise CancelledError
        unit = lowered[start:end]
        matched = [term for term in present if _holds(unit, term)]
        if not matched:
            continue
        score = sum(weights[term] for term in matched) / (0.7 + 0.3 * len(unit) / 100)
        score += sum(2.0 for pair in pairs if pair in unit)
        score += sum(2.0 for phrase in phrases if phrase in unit)
        if digits and _DIGIT.search(unit):
            score *= 1.5
        ranked.append(Unit(text[start:end].strip(), start, score, len(matched) / len(wanted)))
    ranked.sort(key=lambda unit: (-unit.score, unit.start))
    return ranked


def central(text: str, count: int) -> list[str]:
    """The sentences that hold most of what the text speaks of, in the text's order."""
    units = units_of(_WRAPPED_LINE.sub(" ", _sample(text)))
    if len(units) <= count:
        return units
    # Rulers, code, headings and introductions sum nothing up, where there is anything else.
    units = [unit for unit in units if _PROSE.match(unit) and not unit.endswith(":")] or units
    words = [content_words(unit) for unit in units]
    frequency = Counter(word for unit in words for word in unit)

    def weight(index: int) -> float:
        unit = words[index]
        lead = 1.0 + 2.0 / (1 + index)  # what stands first usually says what the rest is about
        return lead * sum(math.log(frequency[w]) for w in unit) / (4 + len(unit)) if unit else 0.0

    best: list[int] = []
    seen: set[str] = set()
    for index in sorted(range(len(units)), key=lambda i: (-weight(i), i)):
        if units[index] not in seen:
            seen.add(units[index])
            best.append(index)
        if len(best) == count:
            break
    return [units[index] for index in sorted(best)]


def _sample(text: str) -> str:
    """The text, or evenly spaced blocks of it when it is long."""
    if len(text) <= _LEAD:
        return text
    blocks, size = 16, _LEAD // 16
    step = (len(text) - size) // (blocks - 1)
    cuts = []
    for i in range(blocks):
        block = text[i * step : i * step + size]
        # The first and last line of a block are cut anywhere; leave them out.
        first, last = block.find("\n"), block.rfind("\n")
        cuts.append(block[first + 1 : last] if 0 <= first < last else block)
    return "\n".join(cuts)


def _stem(word: str) -> str:
    """A prefix that finds a word's other forms too: errors → error, hidden → hidden."""
    for ending, min_length in (("ies", 6), ("ing", 7), ("ed", 6), ("es", 6), ("s", 4)):
        if word.endswith(ending) and len(word) >= min_length and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def _holds(unit: str, term: str) -> bool:
    """Whether a word of the unit starts with the term; a short term must be the whole word."""
    at = unit.find(term)
    while at >= 0:
        end = at + len(term)
        starts = at == 0 or not unit[at - 1].isalnum()
        if starts and (len(term) > 3 or end == len(unit) or not unit[end].isalnum()):
            return True
        at = unit.find(term, at + 1)
    return False


def _collect(lowered: str, text: str, term: str, spans: set[tuple[int, int]], enough: int) -> None:
    """Add the extents of the units around the term's hits, until there are enough."""
    at = _find(lowered, term, 0)
    while at >= 0 and len(spans) < enough:
        start, end = _unit_around(text, at)
        spans.add((start, end))
        at = _find(lowered, term, max(end, at + 1))


def _unit_around(text: str, at: int) -> tuple[int, int]:
    """The extent of the sentence around an offset; a line break ends a sentence too."""
    start = text.rfind("\n", max(0, at - _FAR), at) + 1 or max(0, at - _FAR)
    end = text.find("\n", at, at + _FAR)
    end = min(len(text), at + _FAR) if end < 0 else end
    for gap in _SENTENCE_GAP.finditer(text, start, end):
        if gap.end() <= at:
            start = gap.end()
        else:
            return start, gap.start()
    return start, end
