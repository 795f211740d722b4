"""R7RS-small by section and the built-in SRFIs: the project's own suites in tests/scheme."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_wasm import Runtime

SUITES = Path(__file__).parent / "scheme"
CHECK = SUITES / "r7rs" / "check.scm"
SECTIONS = sorted(
    path for suite in ("r7rs", "srfi", "chibi") for path in (SUITES / suite).glob("*.scm") if path != CHECK
)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda path: path.stem)
async def test_the_section_holds(section: Path) -> None:
    """Every check of it passes; a failure names the expression, what it gave and what it should give."""
    source = CHECK.read_text(encoding="utf-8") + section.read_text(encoding="utf-8")
    async with Runtime(provider="echo", python="off") as runtime:
        result = await runtime.run(source)
    assert result.status == "ok", result.error
    assert result.value.startswith("(passed "), result.value
