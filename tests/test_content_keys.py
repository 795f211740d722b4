"""Answers that are kept under a key of their question: no two questions share one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlm_wasm import Runtime
from rlm_wasm.testing import InlineProvider

ROOT = Path(__file__).parent.parent

ALIKE = ("question 67480", "question 137245")
"""A common hash of 32 bits takes these for one."""


@pytest.mark.parametrize(
    "ask",
    [
        '(cached-query "{}")',
        '(cached-query "Answer." #:data "{}")',
        '(let ((key (string-append "answer:" (content-key "{0}" context))))'
        ' (or (restore key) (checkpoint key (syntax-e (llm-query #:instruction "{0}")))))',
    ],
)
async def test_two_questions_that_a_short_hash_takes_for_one_get_their_own_answers(ask: str) -> None:
    """Each is asked once, and found again."""
    provider = InlineProvider(lambda request: f"{request.instruction} {request.data}")
    async with Runtime(provider, python="off") as runtime:
        for _ in range(2):
            for question in ALIKE:
                result = await runtime.run(f"(finish {ask.format(question)})", context="a text")
                assert question in result.value
    assert len(provider.requests) == 2


PAGES = sorted(
    path
    for folder in (
        "docs",
        "examples",
        "rlm_wasm/mcp/guide",
        "rlm_wasm/strategies",
        "prelude/llm",
        "tests/guide",
    )
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".md", ".scm") and path.name not in ("reference.md", "chibi-libraries.md")
)


def test_no_recipe_keys_the_store_by_a_short_hash() -> None:
    """Wherever a program for others is shown, a key is made by content-key, or is a name."""
    short = re.compile(r"\((?:equal-hash|equal-hash-code|string-hash|hash-code)[ )]")
    assert PAGES
    found = [
        path.relative_to(ROOT).as_posix() for path in PAGES if short.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
