"""Write what is generated in docs/ and the guide: python build/make_docs.py [--check]

The command line's reference from the commands, the limits from Limits, the exceptions from errors.py, the
messages from protocol.py, api.md from docstrings, and reference.md from the guest itself. The guide
(rlm_wasm/mcp/guide/) gets its programs and figures from examples/ and benchmarks/, and docs/ gets the
guide's pages. With ``--check`` nothing is written, and what is out of date ends in exit status 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from doc_pages import api, commands, guide, protocol, reference, runlog, tables  # noqa: E402 - both need the path
from doc_pages.regions import filled  # noqa: E402

RENDERERS = {
    "command": commands.command,
    "options": commands.options,
    "environment": commands.environment,
    "limits": tables.limits,
    "errors": tables.error_tree,
    "guide": guide.page,
    "table": guide.table,
    "messages": protocol.messages,
    "records": protocol.records,
    "runlog": runlog.runlog,
    "operations": protocol.operations,
    "statuses": protocol.statuses,
    "tags": protocol.tags,
}


def generated() -> Iterator[tuple[Path, str]]:
    """Each page with a generated part, and its text as it should be."""
    yield reference.PAGE, reference.text()
    yield api.PAGE, api.text()
    yield from guide.sources()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if path not in (reference.PAGE, api.PAGE):
            yield path, filled(path.read_text(encoding="utf-8"), RENDERERS)


def main() -> int:
    """Write, or check."""
    check = "--check" in sys.argv[1:]
    stale = [
        (path, text)
        for path, text in generated()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}", file=sys.stderr)
    if check and stale:
        print("python build/make_docs.py writes them", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
