"""The guide: programs, figures and tables in its pages, and its pages in docs/.

The source is the MCP server's guide, rlm_wasm/mcp/guide/. In its pages ``program: NAME.scm`` is the text of
examples/patterns/NAME.scm, ``figures: KEY`` that measurement of benchmarks/patterns.json, ``table: goals``
and ``table: summaries`` what the heads of all patterns say. Pages of docs/ include whole pages of it:
``guide: pattern 3`` the third pattern's, ``guide: recipes`` all recipes, ``guide: latency`` that section;
what they say of patterns, recipes and scenarios becomes links.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from doc_pages.regions import Renderer, filled
from rlm_wasm.mcp import guide as pages

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "rlm_wasm" / "mcp" / "guide"
PAGES = ROOT / "docs" / "patterns"
UNTESTED = "<!-- test: skip (tests/test_patterns.py runs it, on the data that it names) -->"
GOALS = ("speed", "quality", "cost", "adaptive", "structure", "specialized")


def sources() -> Iterator[tuple[Path, str]]:
    """Each page of the guide, and its source as it should be."""
    for path in sorted(SOURCE.rglob("*.md")):
        yield path, _source(path)


# ---- in the guide's pages


def program(name: str) -> str:
    """A program of the examples."""
    text = (ROOT / "examples" / "patterns" / name).read_text(encoding="utf-8")
    return f"{UNTESTED}\n```scheme\n{text}```"


def figures(key: str) -> str:
    """A measurement as a table, with its verdict."""
    measured = json.loads((ROOT / "benchmarks" / "patterns.json").read_text(encoding="utf-8"))[key]
    lines = [f"| {' | '.join(measured['columns'])} |", f"|{'---|' * len(measured['columns'])}"]
    lines += [f"| {' | '.join(row)} |" for row in measured["rows"]]
    verdict = measured["verdict"][0].upper() + measured["verdict"][1:]
    return (
        f"Measured with simulated models: {measured['title'][0].lower()}{measured['title'][1:]}.\n\n"
        + "\n".join([*lines, "", verdict])
    )


def table(name: str) -> str:
    """What the heads of all patterns say: "goals", "summaries", or "patterns" with links for docs/."""
    return {"goals": _goals, "summaries": _summaries, "patterns": _linked_patterns}[name]()


def _goals() -> str:
    lines = ["| Goal | # | Pattern | Key figure |", "|---|---|---|---|"]
    for goal in GOALS:
        shown = f"**{goal.capitalize()}**"
        for entry in _patterns():
            if entry.goal == goal:
                lines.append(f"| {shown} | {entry.id} | {entry.name} | {entry.head['key figure']} |")
                shown = ""
    return "\n".join(lines)


def _summaries() -> str:
    return "\n\n".join(
        f"**{entry.id}. {_full_name(entry)}.** {entry.summary} Promise: {entry.head['promise']}. "
        f"For: {entry.head['use']}."
        for entry in _patterns()
    )


def _full_name(entry: pages.Entry) -> str:
    also = entry.head.get("also called")
    return f"{entry.name} ({also})" if also else entry.name


def _linked_patterns() -> str:
    lines = ["| goal | pattern | key figure | in a sentence |", "|---|---|---|---|"]
    for entry in _patterns():
        link = f"[{entry.id}. {entry.name}]({_numbered('patterns', entry.id).name})"
        lines.append(f"| {entry.goal} | {link} | {entry.head['key figure']} | {entry.summary} |")
    return "\n".join(lines)


# ---- in docs/


def page(name: str) -> str:
    """A page of the guide, or all of a folder's one after the other, as docs/ has it."""
    kind, _, number = name.partition(" ")
    if number:
        return _linked(_without_marks(_source(_numbered(f"{kind}s", int(number)))), "")
    if kind in ("recipes", "scenarios"):
        paths, folder = sorted((SOURCE / kind).glob("*.md")), ""
    else:
        paths, folder = [SOURCE / "sections" / f"{kind}.md"], "patterns/"
    texts = [pages.lowered(_without_marks(_source(path))) for path in paths]
    return _linked("\n".join(texts), folder)


def _linked(text: str, folder: str) -> str:
    """With links to the pages of what it names, outside of programs."""

    def named(match: re.Match[str]) -> str:
        kind, number = (match[1] or "pattern").strip().lower(), int(match[2])
        target = _numbered("patterns", number).name if kind == "pattern" else f"{kind}s.md"
        return f"[{match[0]}]({folder}{target})"

    def listed(match: re.Match[str]) -> str:
        return f"- [{match[1]}. {match[2]}]({folder}{_numbered('patterns', int(match[1])).name}):"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    for at in range(0, len(parts), 2):
        part = re.sub(r"^- (\d+)\. ([^:(]+?):", listed, parts[at], flags=re.MULTILINE)
        parts[at] = _NAMED.sub(named, part)
    return "".join(parts)


_NAMED = re.compile(
    r"\b([Pp]attern |[Rr]ecipe |[Ss]cenario )?(\d+)"
    r"(?(1)(?: \([A-Z][\w -]+\)|, [A-Z][\w -]+(?= \(|\.\*\*))?| \([A-Z][a-z]+[ -]?[\w -]+\))"
)
"""Such as: pattern 5; pattern 5, Cumulative Fold; recipe 1; 5 (Cumulative Fold)."""


# ---- the sources


def _source(path: Path) -> str:
    return filled(path.read_text(encoding="utf-8"), _IN_THE_GUIDE)


def _patterns() -> list[pages.Entry]:
    """From the files as they should be: what is served may be older."""
    found = [
        pages.entry_of(
            filled(path.read_text(encoding="utf-8"), {"program": program, "figures": figures}), path.name
        )
        for path in (SOURCE / "patterns").glob("*.md")
    ]
    return sorted(found, key=lambda entry: entry.id)


def _numbered(folder: str, number: int) -> Path:
    [path] = [path for path in (SOURCE / folder).glob("*.md") if int(path.name.split("-")[0]) == number]
    return path


def _without_marks(text: str) -> str:
    """Without the marks of generated parts; what says how a block is tested stays."""
    return re.sub(r"^<!-- (?!test: ).* -->\n", "", text, flags=re.MULTILINE)


_IN_THE_GUIDE: dict[str, Renderer] = {"program": program, "figures": figures, "table": table}
