"""R7RS-small, section by section: the project's own suite in tests/scheme/r7rs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_wasm import Runtime

SUITE = Path(__file__).parent / "scheme" / "r7rs"
SECTIONS = sorted(path for path in SUITE.glob("*.scm") if path.name != "check.scm")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda path: path.stem)
async def test_the_section_holds(section: Path) -> None:
    """Every check of it passes; a failure names the expression, what it gave and what it should give."""
    source = (SUITE / "check.scm").read_text(encoding="utf-8") + section.read_text(encoding="utf-8")
    async with Runtime(provider="echo", python="off") as runtime:
        result = await runtime.run(source)
    assert result.status == "ok", result.error
    assert result.value.startswith("(passed "), result.value
