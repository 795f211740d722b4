"""The programs and figures in docs/patterns/.

``program: NAME.scm`` is the text of examples/patterns/NAME.scm; ``figures: KEY`` that measurement
of benchmarks/patterns.json.
"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNTESTED = "<!-- test: skip (tests/test_patterns.py runs it, on the data that it names) -->"


def program(name: str) -> str:
    """A program of the examples."""
    text = (ROOT / "examples" / "patterns" / name).read_text(encoding="utf-8")
    return f"{UNTESTED}\n```scheme\n{text}```"


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
