"""Write the documentation strings of the running Python's own standard library into one file.

    python examples/make_corpus.py corpus.txt [--limit MODULES]

A section for each top-level module or package, begun by a line "=== NAME ===". Sources are
parsed, never imported. It is a real corpus of a few megabytes that every machine has.
"""

from __future__ import annotations

import argparse
import ast
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Write the file, and say how much it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--limit", type=int, default=1000, help="at most so many modules")
    arguments = parser.parse_args()
    library = Path(sysconfig.get_path("stdlib"))
    sections = []
    for name in sorted(sys.stdlib_module_names):
        if len(sections) == arguments.limit:
            break
        texts = [text for path in sources(library, name) for text in docstrings(path)]
        if texts:
            sections.append(f"=== {name} ===\n" + "\n\n".join(texts))
    text = "\n\n".join(sections) + "\n"
    arguments.path.write_text(text, encoding="utf-8")
    print(f"{arguments.path}: {len(sections)} modules, {len(text):,} characters")


def sources(library: Path, name: str) -> Iterator[Path]:
    """The source files of a top-level module; of a package, all but its tests."""
    if name.startswith("_") or name in ("idlelib", "lib2to3", "test"):
        return
    single = library / f"{name}.py"
    if single.is_file():
        yield single
    for path in sorted((library / name).rglob("*.py")):
        if not {"test", "tests", "idle_test"} & set(path.parts):
            yield path


def docstrings(path: Path) -> Iterator[str]:
    """The documentation strings of a file's module, classes and functions, in their order."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SyntaxError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


if __name__ == "__main__":
    main()
