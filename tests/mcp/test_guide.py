"""The guide that the server hands out: every program in it runs, every name in it is bound."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from rlm_wasm import Runtime
from rlm_wasm.mcp import guide, prompts
from rlm_wasm.planning.estimate import estimate

PAGES = ("guide", "api", "combinators")
BLOCK = re.compile(r"^```scheme\n(.*?)^```$", re.M | re.S)


def programs() -> list[tuple[str, str]]:
    """All Scheme blocks of the guide."""
    blocks = []
    for name in PAGES:
        blocks += [(f"{name} {n}", code) for n, code in enumerate(BLOCK.findall(guide.page(name)), 1)]
    for pattern in guide.patterns().values():
        blocks += [
            (f"pattern {pattern.id}, {n}", code) for n, code in enumerate(BLOCK.findall(pattern.text), 1)
        ]
    return blocks


def test_there_are_sixteen_patterns_in_order() -> None:
    """Each with a goal, a summary and a program."""
    assert list(guide.patterns()) == list(range(1, 17))
    for pattern in guide.patterns().values():
        assert pattern.goal
        assert pattern.summary.endswith(".")
        assert "(finish" in pattern.program


@pytest.mark.parametrize("provider", ["extractive", "echo", "scripted"])
async def test_every_program_of_the_guide_runs_to_its_end(provider: str) -> None:
    """With any provider: a model may answer anything; asked for a program, the doubles give one."""
    for name, code in programs():
        async with Runtime(provider, python="off") as runtime:
            result = await runtime.run(code, context="A text.\n" * 3000, timeout_s=30)
        assert result.ok, f"{name}: {result.error}"


async def test_every_pattern_passes_its_estimate() -> None:
    """It parses, expands and runs dry, and calls what its page says it calls."""
    async with Runtime("scripted", python="off") as runtime:
        for pattern in guide.patterns().values():
            outcome = await estimate(runtime, pattern.program)
            assert outcome.status == "finished", pattern.name
            assert outcome.calls > 0, pattern.name


async def test_the_names_in_the_combinators_table_are_bound() -> None:
    """No signature without a procedure."""
    table = re.findall(r"^\| `\(+([\w!?*-]+)", guide.page("combinators"), re.M)
    assert len(table) >= 18
    async with Runtime("scripted", python="off") as runtime:
        result = await runtime.run(f"(andmap procedure? (list {' '.join(table)}))")
    assert result.value == "#t", result.error


def test_the_pages_speak_of_all_tools_and_patterns() -> None:
    """So that a model finds them."""
    page = guide.page("guide")
    for tool in (
        "load_context",
        "execute_scheme",
        "plan_strategy",
        "estimate_cost",
        "get_scope_log",
        "reset",
    ):
        assert f"`{tool}`" in page
    for pattern in guide.patterns().values():
        assert f"{pattern.id} {pattern.name.split()[0]}" in page, pattern.name


def test_the_strategies_of_the_planner_are_files_with_a_head() -> None:
    """Name, patterns, reason."""
    for file in files("rlm_wasm").joinpath("strategies").iterdir():
        if file.name.endswith(".scm") and not file.name.startswith("parts-"):
            head = file.read_text(encoding="utf-8").split("\n")[:3]
            assert [line.split(":")[0] for line in head] == ["; name", "; patterns", "; why"], file.name


def test_heads_and_small_programs_of_the_patterns_have_one_source() -> None:
    """The guide's pages: docs/patterns includes them, tools and prompts serve them."""
    pages = sorted((Path(__file__).parents[2] / "docs" / "patterns").glob("[0-9]*.md"))
    assert len(pages) == guide.PATTERNS
    for page, pattern in zip(pages, guide.patterns().values(), strict=True):
        text = page.read_text(encoding="utf-8")
        included = text[: text.index("<!-- end -->")].removeprefix(f"<!-- pattern: {pattern.id} -->\n")
        assert included.startswith("\n".join(pattern.text.split("\n")[:5]))
        assert BLOCK.findall(included) == [pattern.program]
        prompt = prompts.filled("apply-pattern", {"pattern": str(pattern.id), "task": "x"})
        assert pattern.program in prompt.messages[0].content.text
