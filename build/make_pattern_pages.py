"""Fill the programs and figures into docs/patterns/: python build/make_pattern_pages.py [--check]

The head of a pattern (number, name, goal, a sentence) and its small program have one source, the page of
the MCP server's guide, rlm_wasm/mcp/guide/patterns/: tools and prompts serve it as it is, and these pages
include it. A page says

    <!-- pattern: 4 -->           where the head and the small program of pattern 4 stand
    <!-- table: patterns -->      where the heads of all patterns stand, with links
    <!-- program: NAME.scm -->    where the text of examples/patterns/NAME.scm does
    <!-- figures: KEY -->         where that measurement of benchmarks/patterns.json does

each up to ``<!-- end -->``. With --check nothing is written, and a page that is out of date ends in
status 1.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rlm_wasm.mcp.guide import pattern, patterns  # noqa: E402

PAGES = ROOT / "docs" / "patterns"
REGION = re.compile(r"<!-- (pattern|table|program|figures): ([\w.-]+) -->\n.*?<!-- end -->", re.DOTALL)
UNTESTED = "<!-- test: skip (tests/test_patterns.py runs it, on the data that it names) -->"


def filled(page: str) -> str:
    """A page with its regions as they should be."""
    return REGION.sub(lambda match: _region(match[1], match[2]), page)


def _region(kind: str, name: str) -> str:
    makers = {"pattern": _pattern, "table": _table, "program": _program, "figures": _figures}
    return f"<!-- {kind}: {name} -->\n{makers[kind](name)}\n<!-- end -->"


def _pattern(number: str) -> str:
    source = pattern(int(number))
    head = f"# {source.id}. {source.name}\n\nGoal: {source.goal}\n\n{source.summary}"
    return f"{head}\n\n```scheme\n{source.program}```"


def _table(_name: str) -> str:
    lines = ["| goal | pattern | in a sentence |", "|---|---|---|"]
    for source in patterns().values():
        [page] = PAGES.glob(f"{source.id:02}-*.md")
        lines.append(f"| {source.goal} | [{source.id}. {source.name}]({page.name}) | {source.summary} |")
    return "\n".join(lines)


def _program(name: str) -> str:
    program = (ROOT / "examples" / "patterns" / name).read_text(encoding="utf-8")
    return f"{UNTESTED}\n```scheme\n{program}```"


def _figures(name: str) -> str:
    table = json.loads((ROOT / "benchmarks" / "patterns.json").read_text(encoding="utf-8"))[name]
    lines = [f"| {' | '.join(table['columns'])} |", f"|{'---|' * len(table['columns'])}"]
    lines += [f"| {' | '.join(row)} |" for row in table["rows"]]
    verdict = table["verdict"][0].upper() + table["verdict"][1:]
    return (
        f"{table['title']} (simulated models, `python benchmarks/patterns.py`):\n\n"
        + "\n".join(lines)
        + f"\n\nThe usage guide claims: {table['claim']} {verdict}"
    )


def main() -> int:
    """Fill all pages, or check them."""
    stale = []
    for path in sorted(PAGES.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if filled(text) != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(filled(text), encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"out of date: {', '.join(stale)}; run python build/make_pattern_pages.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
