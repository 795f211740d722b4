"""What pages and comments name is there: a file, a class's attribute. What was moved is named where it is now."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("rlm_wasm", "wasm", "prelude", "build", "tests", "benchmarks", "examples")
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "docs" / "architecture.md",
    ROOT / "docs" / "glossary.md",
    *sorted((ROOT / "docs" / "internals").glob("*.md")),
]
SOURCES = [
    path
    for folder in ("rlm_wasm", "wasm", "prelude", "build")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".c", ".h", ".scm")
]

QUOTED = re.compile(r"`+([^`\n]+)`+")
FILE = re.compile(r"(?<![\w./-])(?:[\w-]+/)*[\w-]+\.(?:py|c|h|scm|gdb)\b(?![\w(])")
ATTRIBUTE = re.compile(r"\b([A-Z]\w*[a-z]\w*)\.(\w+)\b(?!\.)")
ELSEWHERE = re.compile(r"NAME|FILE|^program\.scm$|^linux/")
"""What stands for a name of the reader's own, and what is another project's."""
COMMENT = {".c": r"/\*(.*?)\*/", ".h": r"/\*(.*?)\*/", ".scm": r"(?m)^\s*;+([^\n]*)"}


@cache
def files() -> frozenset[str]:
    """Every ending of every path: ``text/string.c`` as well as ``string.c``."""
    found = set()
    for folder in CODE:
        for path in (ROOT / folder).rglob("*"):
            parts = path.relative_to(ROOT).parts
            found.update("/".join(parts[start:]) for start in range(len(parts)))
    return frozenset(found)


@cache
def classes() -> dict[str, set[str]]:
    """Whatever is defined in a class, or is an attribute of some object in its methods."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "rlm_wasm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(_attributes(node))
    return found


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        match inner:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name):
                yield name
            case _:
                pass


def missing_files(text: str) -> list[str]:
    """Files that a text names and that are not there."""
    names = (match[0] for match in FILE.finditer(text))
    return [name for name in names if name not in files() and not ELSEWHERE.search(name)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_on_the_code_names_is_there(page: Path) -> None:
    """A reader looks for it."""
    for quoted in QUOTED.findall(page.read_text(encoding="utf-8")):
        assert missing_files(quoted) == []
        for owner, name in ATTRIBUTE.findall(quoted):
            if owner in classes():
                assert name in classes()[owner], f"{owner}.{name}"


def comments(path: Path) -> Iterator[str]:
    """What a source says beside its code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from re.findall(COMMENT[path.suffix], text, re.DOTALL)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and '"""' in token.string[:4]):
            yield token.string


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_files_that_a_comment_names_are_there(path: Path) -> None:
    """Said of the code by the code."""
    assert [name for comment in comments(path) for name in missing_files(comment)] == []


def test_what_is_not_there_is_found() -> None:
    """In a path, and by a name alone."""
    assert missing_files("see scheduler.py, gone.c and store/requests.py") == ["gone.c", "store/requests.py"]
