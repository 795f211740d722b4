"""The guide that the server hands out: all of it is served, every program runs, every name is bound."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest

from rlm_wasm import CompletionRequest, ProviderError, Runtime
from rlm_wasm.execution.progress import progress_line
from rlm_wasm.mcp import guide, prompts
from rlm_wasm.mcp.tools.execute import ExecuteReply
from rlm_wasm.planning.estimate import estimate
from rlm_wasm.results import Execution, Progress, Status
from rlm_wasm.testing import InlineProvider

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "rlm_wasm" / "mcp" / "guide"
REVIEWS = (ROOT / "examples" / "reviews.txt").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^<!-- test: (?P<marker>.*?) -->\n+)?^```scheme\n(?P<code>.*?)^```$", re.M | re.S)
HEADINGS = [
    "Problem",
    "When",
    "When not",
    "How",
    "Over a loaded text",
    "Figures",
    "Optimisation tips",
    "Mistakes",
    "Composes with",
]
SIZES = {"scenarios": 16_000, "recipes": 16_000}
"""Characters, of sections that are longer than a page; an answer has 20,000."""

needs_python = pytest.mark.skipif(
    importlib.util.find_spec("rlm_wasm.python.component") is None, reason="the Python component is not built"
)


def pages() -> list[Path]:
    """All of its sources."""
    return sorted(SOURCES.rglob("*.md"))


def answer(request: CompletionRequest) -> str:
    """As a good model would: JSON where that is asked for, a program where that is."""
    if request.json:
        return '{"label": "other", "confidence": 0.4, "urgent": "broke", "strategy": "each"}'
    if request.purpose == "program" or "Write a Scheme" in request.instruction:
        return "```scheme\n(finish (string-length context))\n```"
    return "positive"


@pytest.mark.parametrize(
    "provider",
    ["extractive", "echo", "scripted", pytest.param(InlineProvider(answer), id="a model")],
)
@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
async def test_every_program_of_a_page_runs(provider: Any, path: Path) -> None:
    """One after the other in a session, as a reader would try them, with any provider; see the next test
    for what calls Python."""
    blocks = [block for block in BLOCK.finditer(path.read_text("utf-8")) if "(py-" not in block["code"]]
    async with Runtime(provider, python="off") as runtime, runtime.session() as session:
        await session.load_context(REVIEWS)
        for block in blocks:
            result = await session.execute(block["code"], timeout_s=30)
            expected = block["marker"] == "error"
            assert (result.status == "error") == expected, f"{block['code']}\n{result.error}"
            assert not result.warnings or expected, result.warnings


@needs_python
async def test_every_program_of_the_guide_that_calls_python_runs() -> None:
    """Its state persists from one to the next, too."""
    ran = 0
    async with Runtime(InlineProvider(answer)) as runtime:
        for path in pages():
            blocks = list(BLOCK.finditer(path.read_text("utf-8")))
            if any("(py-" in block["code"] for block in blocks):
                async with runtime.session() as session:
                    for block in blocks:
                        result = await session.execute(block["code"], timeout_s=140)
                        assert (result.status == "error") == (block["marker"] == "error"), block["code"]
                        ran += "(py-" in block["code"]
    assert ran >= 7


@needs_python
async def test_state_persists_from_call_to_call_until_reset(connect) -> None:
    """Definitions, Python variables and contexts, as the guide's three calls want it."""
    calls = [block["code"] for block in BLOCK.finditer(guide.sections()["workflow"].text)]
    assert len(calls) == 3
    async with connect(InlineProvider(answer), python="wasi") as client:

        async def value(code: str) -> str:
            result = await client.call_tool("execute_scheme", {"code": code})
            return result.structured_content["value"] or result.structured_content["error"]["message"]

        await client.call_tool("load_context", {"data": "the text"})
        for code in calls:
            assert not (await client.call_tool("execute_scheme", {"code": code})).is_error
        assert (
            await value('(list analysis (py-eval "saved") context)') == '("positive" "POSITIVE" "the text")'
        )
        assert (await client.call_tool("reset", {})).structured_content["reset"]
        assert "unbound variable: analysis" in await value("analysis")
        assert "name 'saved' is not defined" in await value('(py-eval "saved")')
        assert "no context is loaded" in await value("context")


def test_the_answers_fields_are_those_of_the_guides_table() -> None:
    """And no field of its error or its statuses is missing there."""
    text = guide.sections()["workflow"].text
    answer_table, status_table = re.findall(r"(?:^\|.*\n)+", text, re.M)
    fields = {name for name in ExecuteReply.model_fields if f"| `{name}` |" in answer_table}
    assert fields == {"status", "value", "data", "stdout", "stderr", "error", "warnings", "execution"}
    for name in ("message", "line", "column", "hint", "kind", "used", "limit"):
        assert f"`{name}`" in answer_table
    for name in ("calls", "elapsed", "tokens", "cost_usd"):
        assert name in {field.name for field in dataclasses.fields(Execution)}
        assert f"`{name}`" in answer_table
    assert re.findall(r"^\| `(\w+)` \|", status_table, re.M) == list(get_args(Status))


@pytest.mark.parametrize(
    ("end", "status"),
    [('(finish "…")', "finished"), ('"…"', "ok"), ("(car 5)", "error"), ("(let loop () (loop))", "limit")],
)
async def test_what_was_used_is_in_every_answer(connect, mode, end: str, status: str) -> None:
    """Whatever became of the program: calls, seconds, tokens, as the guide shows them; and its stdout."""
    code = f'(display "half way") (map-async (lambda (i) (llm-query-async #:instruction "x" #:data (~a i))) (range 7)) {end}'
    async with connect(InlineProvider(lambda request: "y"), mode=mode) as client:
        result = await client.call_tool(
            "execute_scheme", {"code": code, "timeout": 0.5 if status == "limit" else 60}
        )
    content = result.structured_content
    assert (content["status"], content["stdout"]) == (status, "half way")
    assert (content["value"] == "…") == (status in ("finished", "ok"))
    used = content["execution"]
    assert used["calls"] == 7
    assert used["tokens"] == used["prompt_tokens"] + used["completion_tokens"] > 7
    assert isinstance(used["elapsed"], float)


def test_progress_reads_as_the_guide_shows_it() -> None:
    """The longest wait in whole seconds."""
    progress = Progress(done=3, total=7, running=2, models={"gpt-4.1-nano": 2}, longest_s=45.2)
    assert progress_line(progress) == "3/7 done — 2 active: gpt-4.1-nano×2 (longest: 45s)"
    assert f"`{progress_line(progress)}`" in guide.sections()["workflow"].text


def test_there_are_sixteen_patterns_five_recipes_and_six_scenarios() -> None:
    """In order, each with what is short, a sentence, and a program that finishes."""
    for entries, count in ((guide.patterns(), 16), (guide.recipes(), 5), (guide.scenarios(), 6)):
        assert list(entries) == list(range(1, count + 1))
        for entry in entries.values():
            assert entry.summary.endswith("."), entry.name
            assert "(finish" in entry.program, entry.name
            assert "<!--" not in entry.text
            assert "rlm-wasm run" not in entry.text


@pytest.mark.parametrize("number", range(1, 17))
def test_a_pattern_says_everything_that_is_wanted_of_it(number: int) -> None:
    """From the problem to what it goes with."""
    entry = guide.pattern(number)
    assert list(entry.head) in (
        ["goal", "key figure", "promise", "use"],
        ["goal", "also called", "key figure", "promise", "use"],
    )
    assert list(entry.parts) == HEADINGS
    for heading in ("When", "When not", "Optimisation tips", "Mistakes", "Composes with"):
        items = entry.parts[heading].split("\n")
        assert all(item.startswith("- ") for item in items), heading
        assert len(items) >= {"Optimisation tips": 4, "Mistakes": 3}.get(heading, 1), heading
    assert len(entry.parts["Problem"]) > 50
    assert entry.composes_with
    assert number not in entry.composes_with


def test_every_pattern_has_what_was_claimed_and_what_was_measured() -> None:
    """benchmarks/patterns.json has a table for each, and the page its columns, rows and verdict."""
    tables = json.loads((ROOT / "benchmarks" / "patterns.json").read_text(encoding="utf-8"))
    shown = {}
    for entry in guide.patterns().values():
        claimed, *measured = entry.parts["Figures"].split("\n\n")
        assert claimed.startswith("Claimed: ")
        for key, table in tables.items():
            if f"| {' | '.join(table['rows'][0])} |" in entry.parts["Figures"]:
                assert f"| {' | '.join(table['columns'])} |" in measured[-2]
                assert all(f"| {' | '.join(row)} |" in measured[-2] for row in table["rows"])
                assert measured[-1].lower() == table["verdict"].lower()
                shown[entry.id] = key
    assert list(shown) == list(range(1, 17))
    assert len(set(shown.values())) == len(tables) == 16


def test_programs_over_a_loaded_text_are_those_of_the_examples() -> None:
    """Those that tests/test_patterns.py runs on real data."""
    shown = {
        code
        for path in pages()
        for code in re.findall(r"^```scheme\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S)
    }
    for path in (ROOT / "examples" / "patterns").glob("*.scm"):
        assert path.read_text(encoding="utf-8") in shown, path.name


def test_docs_patterns_are_the_pages_of_the_guide() -> None:
    """With links; tools and prompts serve the same."""
    found = sorted((ROOT / "docs" / "patterns").glob("[0-9]*.md"))
    assert len(found) == guide.PATTERNS
    for path, entry in zip(found, guide.patterns().values(), strict=True):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"<!-- guide: pattern {entry.id} -->\n# {entry.id}. {entry.name}\n")
        assert text.endswith("<!-- end -->\n")
        without_links = re.sub(r"\[([^\]\n]+)\]\([\w.-]+\.md\)", r"\1", text)
        assert guide.served(without_links) == entry.text
        prompt = prompts.filled("apply-pattern", {"pattern": str(entry.id), "task": "x"})
        assert entry.program in prompt.messages[0].content.text


@pytest.mark.parametrize("number", [12, 13])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_call_that_fails_is_not_the_end_where_the_page_says_so(number: int, nth: int) -> None:
    """A strategy that did not work, a level that did not improve anything."""
    asked = 0

    def failing(request: CompletionRequest) -> str:
        nonlocal asked
        asked += 1
        if asked == nth:
            raise ProviderError("no")
        return "7 and 8" if asked == 3 else f"answer {asked}"

    async with Runtime(InlineProvider(failing), python="off") as runtime:
        result = await runtime.run(guide.pattern(number).program)
    assert asked == 3
    if number == 12:
        assert result.value == ("no strategy led to a solution that holds" if nth == 3 else "7 and 8")
    else:
        assert result.value == ("answer 2" if nth == 3 else "7 and 8")


async def test_every_pattern_passes_its_estimate() -> None:
    """It parses, expands and runs dry, and calls what its page says it calls."""
    async with Runtime("scripted", python="off") as runtime:
        for entry in guide.patterns().values():
            outcome = await estimate(runtime, entry.program)
            assert outcome.status == "finished", entry.name
            assert outcome.calls > 0, entry.name


async def test_the_names_in_the_combinators_table_are_bound() -> None:
    """No signature without a procedure."""
    table = re.findall(r"^\| `\(+([\w!?*-]+)", guide.page("combinators"), re.M)
    assert len(table) >= 18
    async with Runtime("scripted", python="off") as runtime:
        result = await runtime.run(f"(andmap procedure? (list {' '.join(table)}))")
    assert result.value == "#t", result.error


def test_the_overview_fits_a_prompt_and_names_all_sections_tools_and_patterns() -> None:
    """So that a model finds them; 1,500 tokens are a page and a half."""
    overview = guide.sections()["overview"].text
    assert len(overview) / 4 < 1_500
    for section in guide.sections():
        assert section == "overview" or f"`{section}`" in overview
    for tool in (
        "load_context",
        "ask",
        "execute_scheme",
        "plan_strategy",
        "estimate_cost",
        "get_scope_log",
        "reset",
    ):
        assert f"`{tool}`" in overview
    for entry in guide.patterns().values():
        assert f"| {entry.id} | {entry.name} | {entry.head['key figure']} |" in overview


def test_every_section_has_a_title_and_fits_an_answer() -> None:
    """Of at most 20,000 characters, in structure too."""
    for section in guide.sections().values():
        assert section.text.startswith(f"# {section.title}\n")
        assert "<!--" not in section.text
        assert len(section.text) < SIZES.get(section.name, 7_000), section.name
    for entry in (*guide.patterns().values(), *guide.recipes().values(), *guide.scenarios().values()):
        assert len(entry.text) < 8_000, entry.name


def test_a_page_without_a_head_or_a_program_is_refused() -> None:
    """Where somebody adds one."""
    with pytest.raises(ValueError, match=r"7\.md is no numbered page"):
        guide.entry_of("# 7. Name\n\nA sentence.\n", "7.md")
    with pytest.raises(KeyError, match="numbered from 1 to 16"):
        guide.pattern(17)


def test_a_page_within_another_has_lower_headings_and_the_same_programs() -> None:
    """A comment of Scheme or Python is no heading."""
    assert guide.lowered("# A\n\n```python\n# b\n```\n\n## C\n") == "## A\n\n```python\n# b\n```\n\n### C\n"


def test_the_strategies_of_the_planner_are_files_with_a_head() -> None:
    """Name, patterns, reason."""
    for file in files("rlm_wasm").joinpath("strategies").iterdir():
        if file.name.endswith(".scm") and not file.name.startswith("parts-"):
            head = file.read_text(encoding="utf-8").split("\n")[:3]
            assert [line.split(":")[0] for line in head] == ["; name", "; patterns", "; why"], file.name
