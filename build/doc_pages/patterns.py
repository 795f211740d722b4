"""Fill the programs and figures into docs/patterns/: python build/make_pattern_pages.py [--check]

A page says ``<!-- program: NAME.scm -->`` where the text of examples/patterns/NAME.scm stands, and
``<!-- figures: KEY -->`` where that measurement of benchmarks/patterns.json does; each ends with
``<!-- end -->``. With --check nothing is written, and a page that is out of date ends in status 1.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "patterns"
REGION = re.compile(r"<!-- (program|figures): ([\w.-]+) -->\n.*?<!-- end -->", re.DOTALL)
UNTESTED = "<!-- test: skip (tests/test_patterns.py runs it, on the data that it names) -->"


def filled(page: str) -> str:
    """A page with its regions as they should be."""
    return REGION.sub(lambda match: _region(match[1], match[2]), page)


def _region(kind: str, name: str) -> str:
    return f"<!-- {kind}: {name} -->\n{_program(name) if kind == 'program' else _figures(name)}\n<!-- end -->"


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
