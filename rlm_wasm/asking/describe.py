"""What a context looks like, in a few lines: so that a model can write a program for data it has not seen.

The data is hostile and may be huge: what is looked at is bounded, and what is shown is cut.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from typing import Any

from rlm_wasm.asking.bounds import in_line

MAX_DESCRIBED = 40
"""Contexts that are described one by one; of the others the names are listed, as far as there is room."""
MAX_NAMES = 200
_HEAD = 1 << 16
"""Characters whose structure is looked at, from the beginning."""
_WHOLE_JSON = 1 << 20
"""Characters of JSON that are read as a whole."""
_LINE = 160
"""Characters of a line, a heading or a key that are shown."""
_LINES = 3
_HEADINGS = 8

_HEADING = re.compile(r"^#{1,6} +\S.*$", re.M)
_TIME = re.compile(
    r"\[?(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d)"
)
_LEVEL = re.compile(r"\b(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b")
_ACCESS = re.compile(r'^\S+ \S+ \S+ \[[^\]]{1,40}\] "[A-Z]{3,8} ')
_CODE = {
    "Python": re.compile(r"^(?:def \w+\(|class \w+[:(]|from [\w.]+ import |import [\w.]+$)", re.M),
    "C": re.compile(r"^#include [<\"]", re.M),
    "Scheme": re.compile(r"^\((?:define|lambda|let|import|module)[ \n(]", re.M),
    "JavaScript": re.compile(r"^(?:export |const \w+ = |function \w+\(|import .+ from )", re.M),
}


def described(contexts: Mapping[str | None, str]) -> str:
    """All contexts, each in a few lines. None is the name of the main one."""
    if not contexts:
        return "There are no contexts: the task is all there is."
    items = list(contexts.items())
    parts = [_described(name, text) for name, text in items[:MAX_DESCRIBED]]
    rest = items[MAX_DESCRIBED:]
    if rest:
        names = ", ".join(_name(name) for name, _ in rest[:MAX_NAMES])
        total = sum(len(text) for _, text in rest)
        more = f" and {len(rest) - MAX_NAMES:,} more" if len(rest) > MAX_NAMES else ""
        parts.append(
            f"{len(rest):,} further contexts of {total:,} characters: {names}{more}. "
            "(context-names) lists all."
        )
    return "\n\n".join(parts)


def _name(name: str | None) -> str:
    return "the main one" if name is None else json.dumps(in_line(name, 80), ensure_ascii=False)


def _described(name: str | None, text: str) -> str:
    how = "`context`" if name is None else f"(get-context {_name(name)})"
    if not text.strip():
        return f"{how}: {len(text):,} characters, empty"
    lines = text.count("\n") + (not text.endswith("\n"))
    head = text[:_HEAD]
    kind, structure = _kind(text, head)
    parts = [f"{how}: {len(text):,} characters, {lines:,} lines, {kind}"]
    if structure:
        parts.append(f"  structure: {structure}")
    parts += _ends(text, head)
    return "\n".join(parts)


def _ends(text: str, head: str) -> list[str]:
    """The first and the last lines that say something."""
    first = _shown(head.split("\n", 200))
    if len(text) <= _HEAD and text.count("\n") < 2 * _LINES:
        return [f"  | {line}" for line in _shown(text.split("\n"), 2 * _LINES)]
    last = _shown(reversed(text[-_HEAD:].rsplit("\n", 200)))
    return [*(f"  | {line}" for line in first), "  | …", *(f"  | {line}" for line in reversed(last))]


def _shown(lines: Any, max_lines: int = _LINES) -> list[str]:
    out: list[str] = []
    for line in lines:
        if len(out) == max_lines:
            break
        if line.strip():
            out.append(in_line(line, _LINE))
    return out


def _kind(text: str, head: str) -> tuple[str, str]:
    """What sort of text it is, and what can be said about its structure."""
    lines = [line for line in head.split("\n", 400)[:400] if line.strip()]
    if len(text) > len(head) and len(lines) > 1:
        lines.pop()  # the head may end within it
    for description in (_json(text, head, lines), _markdown(head), _log(lines), _csv(lines)):
        if description is not None:
            return description
    for language, pattern in _CODE.items():
        if len(pattern.findall(head)) >= 3:
            return f"{language} code", ""
    return "plain text", ""


# ---- JSON


def _json(text: str, head: str, lines: list[str]) -> tuple[str, str] | None:
    begin = head.lstrip()[:1]
    if begin not in ("{", "["):
        return None
    records = [_parsed(line) for line in lines[:20]]
    if len(records) > 1 and all(isinstance(record, dict | list) for record in records):
        return "JSON Lines, one value a line", _of_value(records[0])
    if len(text) <= _WHOLE_JSON:
        value = _parsed(text)
        return None if value is _BROKEN else ("JSON", _of_value(value))
    if begin == "{" and re.match(r'\s*\{\s*"', head):
        keys = list(dict.fromkeys(re.findall(r'"((?:[^"\\]|\\.){1,80})"\s*:', head)))[:12]
        return "JSON, it seems (an object)", f"keys seen first: {_listed(keys)}" if keys else ""
    if begin == "[" and re.match(r'\s*\[\s*[\[{"\d-]', head):
        keys = list(dict.fromkeys(re.findall(r'"((?:[^"\\]|\\.){1,80})"\s*:', head)))[:12]
        return "JSON, it seems (an array)", f"keys seen first: {_listed(keys)}" if keys else ""
    return None


_BROKEN = object()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _BROKEN


def _of_value(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {_listed(list(value))}"
    if isinstance(value, list):
        items = f"an array of {len(value):,} items"
        if value and isinstance(value[0], dict):
            return f"{items}; the first is {_of_value(value[0])}"
        return items
    return ""


def _listed(names: list[str]) -> str:
    listed = ", ".join(in_line(str(name), 40) or '""' for name in names[:12])
    return listed + (f" and {len(names) - 12:,} more" if len(names) > 12 else "")


# ---- the others


def _markdown(head: str) -> tuple[str, str] | None:
    headings = _HEADING.findall(head)
    if len(headings) < 2 or not any(heading.startswith(("# ", "## ")) for heading in headings):
        return None
    listed = "; ".join(in_line(heading, 60) for heading in headings[:_HEADINGS])
    more = "; …" if len(headings) > _HEADINGS else ""
    return "Markdown", f"headings: {listed}{more}"


def _log(lines: list[str]) -> tuple[str, str] | None:
    sample = [line[:300] for line in lines[:50]]
    if len(sample) < 2:
        return None
    if sum(bool(_ACCESS.match(line)) for line in sample) * 5 >= 4 * len(sample):
        return "a web server's access log", "host, identity, user, [time], request, status, size"
    timed = sum(bool(_TIME.match(line)) for line in sample)
    if timed * 5 < 3 * len(sample):
        return None
    levels = sorted({level[0] for line in sample if (level := _LEVEL.search(line))})
    begins = in_line(next(line for line in sample if _TIME.match(line)), 60)
    seen = f"; levels seen: {', '.join(levels)}" if levels else ""
    return "a log, a time at the beginning of each line", f"lines like: {begins}{seen}"


def _csv(lines: list[str]) -> tuple[str, str] | None:
    sample = [line[:2_000].removesuffix("\r") for line in lines[:20]]
    if len(sample) < 2:
        return None
    for delimiter, kind in ((",", "CSV"), ("\t", "TSV"), (";", "CSV with semicolons"), ("|", "columns by |")):
        if delimiter not in sample[0]:
            continue
        try:
            rows = list(csv.reader(sample, delimiter=delimiter))
        except csv.Error:
            continue
        widths = {len(row) for row in rows}
        header = [cell.strip() for cell in rows[0]]
        named = all(cell and len(cell) <= 60 for cell in header)
        if len(widths) == 1 and len(header) > 1 and named and len(set(header)) == len(header):
            return kind, f"{len(header)} columns, header: {_listed(header)}"
    return None
