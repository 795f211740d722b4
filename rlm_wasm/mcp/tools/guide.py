"""The tools that hand out the guide: usage, patterns, references."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rlm_wasm.mcp import guide
from rlm_wasm.mcp.tools.arguments import NUMERIC, Arguments, ListOf, Reply
from rlm_wasm.mcp.tools.entry import Answer, ToolEntry

if TYPE_CHECKING:
    from rlm_wasm.mcp.tools.entry import Context


class NoArguments(Arguments):
    """Nothing."""


class PageReply(Reply):
    """A page of the guide."""

    markdown: str


class PatternArguments(Arguments):
    """Numbers of patterns."""

    pattern_ids: Annotated[
        ListOf[Annotated[int, Field(ge=1, le=guide.PATTERNS), NUMERIC]], Field(description="Such as [1, 4].")
    ]


class PatternReply(Reply):
    """One pattern: its page, and the program on it."""

    id: int
    name: str
    goal: str = ""
    markdown: str
    program: str


class PatternsReply(Reply):
    """The patterns, in the order of asking."""

    patterns: list[PatternReply]


def _page(name: str) -> Callable[[Context, NoArguments], Awaitable[Answer]]:
    async def serve(_ctx: Context, _arguments: NoArguments) -> Answer:
        text = guide.page(name)
        return Answer(PageReply(markdown=text), text)

    return serve


async def get_pattern_details(_ctx: Context, arguments: PatternArguments) -> Answer:
    """The pages of some patterns."""
    chosen = [guide.pattern(number) for number in dict.fromkeys(arguments.pattern_ids)]
    replies = [
        PatternReply(id=p.id, name=p.name, goal=p.goal, markdown=p.text, program=p.program) for p in chosen
    ]
    return Answer(PatternsReply(patterns=replies), "\n\n".join(pattern.text for pattern in chosen))


def _listing() -> str:
    return ", ".join(f"{pattern.id} {pattern.name.lower()}" for pattern in guide.patterns().values())


GET_USAGE_GUIDE = ToolEntry(
    name="get_usage_guide",
    title="Usage guide",
    description=(
        "How to work with this server: workflow, choosing among the 16 orchestration patterns, choosing "
        "models, common mistakes and their fixes. Read it once before the first program."
    ),
    takes=NoArguments,
    gives=PageReply,
    read_only=True,
    act=_page("guide"),
)
GET_PATTERN_DETAILS = ToolEntry(
    name="get_pattern_details",
    title="Pattern details",
    description=f"Complete runnable programs for patterns: {_listing()}.",
    takes=PatternArguments,
    gives=PatternsReply,
    example='{"pattern_ids": [1, 4]}',
    read_only=True,
    act=get_pattern_details,
)
GET_API_REFERENCE = ToolEntry(
    name="get_code_generation_api_reference",
    title="API reference",
    description=(
        "Condensed reference of the whole API for writing programs: LLM calls, context, Python, "
        "checkpoints, JSON, strings, and the mistakes to avoid. Read it before the first program; also "
        "good as a sub-model's instruction when it is to write code."
    ),
    takes=NoArguments,
    gives=PageReply,
    read_only=True,
    act=_page("api"),
)
GET_CODEGEN_REFERENCE = replace(
    GET_API_REFERENCE,
    name="get_codegen_reference",
    title="API reference (alias)",
    description="The same as get_code_generation_api_reference.",
)
GET_COMBINATOR_REFERENCE = ToolEntry(
    name="get_combinator_reference",
    title="Combinators",
    description=(
        "Signatures and an example of each combinator: parallel, race, tree-reduce, fan-out-aggregate, "
        "critique-refine, vote, ensemble, tiered, active-learning, memoized and the rest."
    ),
    takes=NoArguments,
    gives=PageReply,
    read_only=True,
    act=_page("combinators"),
)
