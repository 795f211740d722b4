"""The folders of the C core keep the order that docs/architecture.md gives them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "wasm"
ROW = re.compile(r"^\| (\d+) \| `wasm/(\w+)/` \|", re.MULTILINE)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+([<\"])([^>\"]+)[>\"]", re.MULTILINE)
CONTRACT = "rlm.h"
FILES = sorted(path for path in CORE.rglob("*.[ch]"))


def _layers() -> dict[str, int]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text[text.index("## The core's folders") :].split("\n## ", 2)[0]
    return {folder: int(layer) for layer, folder in ROW.findall(section)}


LAYERS = _layers()


def _includes(path: Path) -> list[str]:
    return [name for kind, name in INCLUDE.findall(path.read_text(encoding="utf-8")) if kind == '"']


def test_every_folder_of_the_core_has_a_layer() -> None:
    """A new folder stands in the table, and the table names no folder that is gone."""
    folders = {path.name for path in CORE.iterdir() if path.is_dir()}
    assert folders == set(LAYERS)
    assert sorted(LAYERS.values()) == list(range(1, len(LAYERS) + 1))


def test_the_contract_stands_alone_on_top() -> None:
    """Nothing but rlm.h lies outside the folders, and it includes nothing of the core."""
    assert [path.name for path in CORE.iterdir() if path.is_file()] == [CONTRACT]
    assert _includes(CORE / CONTRACT) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CORE).as_posix())
def test_a_c_file_includes_only_its_own_folder_and_lower_ones(path: Path) -> None:
    """Every include names a folder; only the top layer sees the contract with the host."""
    folder = path.parent.name
    for name in _includes(path):
        assert (CORE / name).is_file(), f"{name} is not a path below wasm/"
        if name == CONTRACT:
            assert LAYERS[folder] == 1, f"{folder}/ is not the host's side"
            continue
        other = name.split("/")[0]
        assert LAYERS[other] >= LAYERS[folder], f"{folder}/ stands below {other}/"


def test_no_header_includes_itself_by_way_of_others() -> None:
    """Headers form no circle, so that each can be read on its own."""
    includes = {path.relative_to(CORE).as_posix(): _includes(path) for path in FILES if path.suffix == ".h"}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        if name in done:
            return
        for other in includes[name]:
            visit(other, (*above, name))
        done.add(name)

    for name in includes:
        visit(name, ())
    assert done == set(includes)


def test_a_header_belongs_to_the_c_file_of_its_name() -> None:
    """Headers without code of their own are those that only describe; the rest have their C file."""
    alone = {
        path.relative_to(CORE).as_posix()
        for path in FILES
        if path.suffix == ".h" and not path.with_suffix(".c").exists()
    }
    assert alone == {
        CONTRACT,
        "core/raise.h",  # declared for everybody, made in vm/error.c
        "core/template.h",  # a structure
        "core/value.h",
        "compiler/work.h",
        "text/unicode_data.h",  # generated
        "vm/code.h",  # the list of instructions
    }
