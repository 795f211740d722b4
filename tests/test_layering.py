"""Imports only point downwards, TYPE_CHECKING counts, and there is no circle anywhere.

The layers stand in docs/architecture.md, from the top down; this test reads them there. (The C folders'
order is read from the same page by test_core_layering.py.)
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rlm_wasm"
PAGE = ROOT / "docs" / "architecture.md"


def layers() -> list[list[str]]:
    """From the top down: modules and folders below rlm_wasm/."""
    section = PAGE.read_text(encoding="utf-8").split("\n## Layers\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| *[^|]+ \| ((?:`[\w/]+`[, ]*)+)\|", section, re.M)
    assert len(rows) > 5, "the table of the layers is gone"
    return [re.findall(r"`([\w/]+)`", modules) for modules in rows]


LAYER = {name: len(layers()) - depth for depth, names in enumerate(layers()) for name in names}


def module_name(path: Path) -> str:
    """``execution.scheduler``; a package is the name of its folder."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent != PACKAGE or path.name not in ("__init__.py", "__main__.py")
}


def layer_of(name: str) -> int:
    """By the longest entry of the table that the module is, or is in."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        found = LAYER.get("/".join(parts[:length]))
        if found is not None:
            return found
    pytest.fail(f"rlm_wasm/{name} stands in no layer: add it to the table in docs/architecture.md")


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of this package that a module imports, wherever in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            asked = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            asked = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        inside = {item.removeprefix("rlm_wasm.") for item in asked if item.startswith("rlm_wasm.")}
        found |= {item for item in inside if item in MODULES}
    # ``from a import b`` asks for the module b where there is one, not for the package around it
    return frozenset(
        item for item in found - {name} if not any(other.startswith(f"{item}.") for other in found)
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_below(name: str) -> None:
    """Or from its own folder."""
    upward = [
        other
        for other in imports(name)
        if layer_of(other) >= layer_of(name) and other.split(".")[0] != name.split(".")[0]
    ]
    assert upward == []


def test_no_module_imports_what_imports_it() -> None:
    """However long the way round is."""
    done: set[str] = set()
    for start in MODULES:
        way: list[str] = []

        def visit(name: str, way: list[str] = way) -> None:
            if name in way:
                pytest.fail(" → ".join([*way[way.index(name) :], name]))
            if name not in done:
                way.append(name)
                for other in sorted(imports(name)):
                    visit(other)
                way.pop()
                done.add(name)

        visit(start)


def test_nothing_below_the_runtime_asks_the_package_itself() -> None:
    """It offers the names of all of them: whoever takes one there goes upwards, and in a circle."""
    for name in MODULES:
        if layer_of(name) > LAYER["runtime"]:
            continue
        for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert "rlm_wasm" not in [alias.name for alias in node.names], name
            elif isinstance(node, ast.ImportFrom) and node.module == "rlm_wasm":
                assert {alias.name for alias in node.names} <= MODULES.keys(), name


def test_sandbox_and_providers_never_import_each_other() -> None:
    """What enters wasm knows nothing of what answers calls."""
    for name in MODULES:
        folder = name.split(".")[0]
        others = {other.split(".")[0] for other in imports(name)}
        assert folder != "sandbox" or "providers" not in others
        assert folder not in ("providers", "extractive") or "sandbox" not in others


def test_every_entry_of_the_table_is_there() -> None:
    """A name that was moved away says nothing any more."""
    for name in LAYER:
        assert (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file(), name


@cache
def attributes(name: str) -> frozenset[str]:
    """The names of attributes that the classes of a module have."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                    found.add(inner.target.id)
                elif (
                    isinstance(inner, ast.Attribute)
                    and isinstance(inner.ctx, ast.Store)
                    and ast.unparse(inner.value) in ("self", "cls")
                ):
                    found.add(inner.attr)
    return frozenset(found)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_writes_no_attribute_of_anothers_object(name: str) -> None:
    """An object is finished by its own module: elsewhere its attributes are read, and changed by its methods."""
    others = frozenset().union(*(attributes(other) for other in MODULES if other != name))
    written = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) not in ("self", "cls")
        and node.attr in others - attributes(name)
    ]
    # config is wasmtime's, and the other two are places in memory and a function of a library
    assert [line for line in written if not re.search(r": (config|log|_local)\.|\.value$", line)] == []
