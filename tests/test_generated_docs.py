"""What is generated in docs/ is current, and what generates it does as it says."""

from __future__ import annotations

from pathlib import Path

import make_docs
import pytest
from doc_pages import commands, tables
from doc_pages.regions import filled

from rlm_wasm.cli import cli
from rlm_wasm.limits import specs

ROOT = Path(__file__).parent.parent


def test_the_generated_pages_are_current() -> None:
    """``python build/make_docs.py`` writes them."""
    stale = [
        path.relative_to(ROOT).as_posix()
        for path, text in make_docs.generated()
        if path.read_text(encoding="utf-8") != text
    ]
    assert stale == []


def test_every_command_has_its_part() -> None:
    """A new one cannot be left out."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in cli.list_commands(None):  # type: ignore[arg-type]
        assert f"<!-- command: {name} -->" in page


def test_a_commands_part_names_its_options_and_their_defaults() -> None:
    """Shared options stand in one place."""
    assert "| `-q`, `--quiet` |" in commands.command("run")
    assert "[runtime options]" in commands.command("run")
    assert "--fuel" not in commands.command("run")
    assert "| `--base-url U` |" in commands.command("doctor")
    assert "[runtime options]" not in commands.command("doctor")
    assert "| 300 s |" in commands.options("runtime")


def test_limits_that_nothing_enforces_are_not_promised() -> None:
    """A row each for the others."""
    table = tables.limits("")
    for spec in specs():
        assert (f"| `{spec.name}` |" in table) == bool(spec.enforced_by)


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    """And only of kinds that are known."""
    page = "a\n<!-- one: x y -->\nold\n<!-- end -->\nb\n<!-- other -->\n<!-- one -->\n<!-- end -->\nc"
    assert filled(page, {"one": lambda name: f"[{name}]\n"}) == (
        "a\n<!-- one: x y -->\n[x y]\n<!-- end -->\nb\n<!-- other -->\n<!-- one -->\n[]\n<!-- end -->\nc"
    )


@pytest.mark.parametrize("page", ["<!-- one -->\n", "<!-- one -->\n<!-- one -->\n<!-- end -->\n"])
def test_a_part_without_an_end_is_an_error(page: str) -> None:
    """Half a page would be replaced otherwise."""
    with pytest.raises(ValueError, match="has no <!-- end -->"):
        filled(page, {"one": str})
