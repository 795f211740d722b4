"""The heads, programs and figures in docs/patterns/.

The head of a pattern (number, name, goal, a sentence) and its small program have one source, the page of
the MCP server's guide, rlm_wasm/mcp/guide/patterns/: tools and prompts serve it as it is, and these pages
include it. ``pattern: 4`` is the head and the small program of pattern 4; ``table: patterns`` the heads of
all of them, with links; ``program: NAME.scm`` the text of examples/patterns/NAME.scm; ``figures: KEY`` that
measurement of benchmarks/patterns.json.
"""

from __future__ import annotations

import json
from pathlib import Path

from rlm_wasm.mcp import guide

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "patterns"
UNTESTED = "<!-- test: skip (tests/test_patterns.py runs it, on the data that it names) -->"


def program(name: str) -> str:
    """A program of the examples."""
    text = (ROOT / "examples" / "patterns" / name).read_text(encoding="utf-8")
    return f"{UNTESTED}\n```scheme\n{text}```"


def pattern(number: str) -> str:
    """A pattern's head and small program."""
    source = guide.pattern(int(number))
    head = f"# {source.id}. {source.name}\n\nGoal: {source.goal}\n\n{source.summary}"
    return f"{head}\n\n```scheme\n{source.program}```"


def table(_name: str) -> str:
    """All heads, with links to their pages."""
    lines = ["| goal | pattern | in a sentence |", "|---|---|---|"]
    for source in guide.patterns().values():
        [page] = PAGES.glob(f"{source.id:02}-*.md")
        lines.append(f"| {source.goal} | [{source.id}. {source.name}]({page.name}) | {source.summary} |")
    return "\n".join(lines)


def figures(key: str) -> str:
    """A measurement as a table, with its verdict."""
    table = json.loads((ROOT / "benchmarks" / "patterns.json").read_text(encoding="utf-8"))[key]
    lines = [f"| {' | '.join(table['columns'])} |", f"|{'---|' * len(table['columns'])}"]
    lines += [f"| {' | '.join(row)} |" for row in table["rows"]]
    verdict = table["verdict"][0].upper() + table["verdict"][1:]
    return (
        f"{table['title']} (simulated models, `python benchmarks/patterns.py`):\n\n"
        + "\n".join(lines)
        + f"\n\nThe usage guide claims: {table['claim']} {verdict}"
    )
