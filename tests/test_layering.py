"""Imports only point downwards."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rlm_wasm"

# From the bottom up. A module may import from layers below its own, and from its own layer only
# where the pair is listed in BESIDE.
LAYERS = [
    {"errors", "limits", "values"},
    {"trace", "telemetry", "snapshot", "engine", "protocol", "prices", "images", "providers.base"},
    {"capabilities", "pages"},
    {"sandbox", "providers", "python", "store"},
    {"calls", "scheduler"},
    {"session", "recursion"},
    {"runtime"},
    {"testing"},
    {"mcp", "viewer"},
    {"cli"},
]
BESIDE = {("limits", "errors"), ("calls", "scheduler")}
BELOW_ALL = {"errors", "limits", "values"}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "providers.base" if parts == ("providers", "base") else parts[0]


def _layer(name: str) -> int:
    for number, names in enumerate(LAYERS):
        if name in names:
            return number
    pytest.fail(f"rlm_wasm/{name} stands in no layer: add it to LAYERS")


def _imports(path: Path) -> set[str]:
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):  # annotations cost nothing at run time
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "rlm_wasm":
            modules = [f"rlm_wasm.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        for module in modules:
            parts = module.split(".")
            if parts[0] == "rlm_wasm" and len(parts) > 1:
                found.add("providers.base" if parts[1:3] == ["providers", "base"] else parts[1])
    return found


MODULES = sorted(
    p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.name not in ("__init__.py", "__main__.py")
)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    """design.md section 4 draws the layers."""
    me = _name(path)
    for other in _imports(path):
        if other in (me, "__version__") or (me, other) in BESIDE:
            continue
        if me.startswith("providers") and other.startswith("providers"):
            continue
        assert _layer(other) < _layer(me), f"{me} imports {other}"


def test_sandbox_and_providers_never_import_each_other() -> None:
    """What enters wasm knows nothing of what answers calls."""
    assert not any(name.startswith("providers") for name in _imports(PACKAGE / "sandbox.py"))
    for path in (PACKAGE / "providers").rglob("*.py"):
        assert not {"sandbox", "engine", "scheduler"} & _imports(path), path


def test_the_lowest_modules_import_nothing_internal() -> None:
    """errors and values stand on their own; limits raises errors."""
    assert _imports(PACKAGE / "errors.py") == set()
    assert _imports(PACKAGE / "values.py") == set()
    assert _imports(PACKAGE / "limits.py") == {"errors"}
