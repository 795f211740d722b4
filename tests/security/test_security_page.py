"""docs/security.md speaks of every limit, and of tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

from rlm_wasm.limits import specs

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_limit_has_its_line() -> None:
    """A new one cannot be left out, and one that is gone cannot stay."""
    part = PAGE.split("## Limits, and what to know about each")[1].split("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", part, re.M)
    assert told == [spec.name for spec in specs() if spec.enforced_by]


def test_the_tests_that_it_names_are_there() -> None:
    """A promise without its test is none."""
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) >= 15
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "security").glob("test_*.py")}
    assert ours - named == {"tests/security/test_security_page.py"}


def test_every_promise_has_a_test() -> None:
    """In the last column of its line."""
    part = PAGE.split("## What is promised")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ") and "mechanism" not in line]
    assert lines
    assert [line for line in lines if "`tests/" not in line.split("|")[-2]] == []
