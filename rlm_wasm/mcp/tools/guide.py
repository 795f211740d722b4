"""The tools that hand out the guide: usage, patterns, references."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from rlm_wasm.mcp import guide
from rlm_wasm.mcp.tools.arguments import (
    NUMERIC,
    Arguments,
    Choice,
    ListOf,
    Maybe,
    Reply,
    no_such_name,
)
from rlm_wasm.mcp.tools.entry import Answer, ToolEntry

if TYPE_CHECKING:
    from rlm_wasm.mcp.tools.entry import Context


class NoArguments(Arguments):
    """Nothing."""


class SectionArguments(Arguments):
    """A part of the guide."""

    section: Annotated[
        Maybe[Choice[guide.SectionName]],
        Field(description="Default: the overview, which says what is where."),
    ] = None


class PageReply(Reply):
    """A page of the guide."""

    markdown: str


def _number_of_pattern(value: Any) -> Any:
    if not isinstance(value, str) or value.strip().lstrip("+-").isdecimal():
        return value
    number = guide.pattern_of(value)
    if number is None:
        near = guide.pattern_like(value)
        raise no_such_name(
            f"a whole number from 1 to {guide.PATTERNS}, or a pattern's name",
            None if near is None else f"{near.id}, {near.name}",
        )
    return number


class PatternArguments(Arguments):
    """Numbers of patterns; their names are understood, too."""

    pattern_ids: Annotated[
        ListOf[Annotated[int, Field(ge=1, le=guide.PATTERNS), NUMERIC, BeforeValidator(_number_of_pattern)]],
        Field(description="Such as [1, 4]."),
    ]


class PatternReply(Reply):
    """One pattern: its page, and the program on it."""

    id: int
    name: str
    goal: str
    summary: str
    markdown: str
    program: str
    composes_with: list[int]


class PatternsReply(Reply):
    """The patterns, in the order of asking; ``left_out`` are those for which there was no room."""

    patterns: list[PatternReply]
    left_out: list[int] = Field(default_factory=list)


async def get_usage_guide(_ctx: Context, arguments: SectionArguments) -> Answer:
    """The overview, or a section."""
    text = guide.sections()[arguments.section or "overview"].text
    return Answer(PageReply(markdown=text), text)


def _page(name: str) -> Callable[[Context, NoArguments], Awaitable[Answer]]:
    async def serve(_ctx: Context, _arguments: NoArguments) -> Answer:
        text = guide.page(name)
        return Answer(PageReply(markdown=text), text)

    return serve


async def get_pattern_details(ctx: Context, arguments: PatternArguments) -> Answer:
    """The pages of some patterns, as many as an answer has room for; the first is always there."""
    wanted = [guide.pattern(number) for number in dict.fromkeys(arguments.pattern_ids)]
    room = ctx.lifespan_context.bounds.result_chars
    given = [wanted[0]]
    for entry in wanted[1:]:
        if sum(len(other.text) + len(other.program) for other in (*given, entry)) > room:
            break
        given.append(entry)
    reply = PatternsReply(
        patterns=[
            PatternReply(
                id=entry.id,
                name=entry.name,
                goal=entry.goal,
                summary=entry.summary,
                markdown=entry.text,
                program=entry.program,
                composes_with=entry.composes_with,
            )
            for entry in given
        ]
    )
    text = "\n\n".join(entry.text for entry in given)
    left_out = [entry.id for entry in wanted[len(given) :]]
    if left_out:
        reply = reply.model_copy(update={"left_out": left_out})
        text += f"\n… [no room for {_numbers(left_out)}: ask again, or read rlm://patterns/{left_out[0]}]"
    return Answer(reply, text)


def _numbers(ids: list[int]) -> str:
    return f"pattern{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}"


def _listing() -> str:
    return ", ".join(f"{pattern.id} {pattern.name.lower()}" for pattern in guide.patterns().values())


GET_USAGE_GUIDE = ToolEntry(
    name="get_usage_guide",
    title="Usage guide",
    description=(
        "How to work with this server: workflow, choosing among the 16 orchestration patterns, choosing "
        "models, common mistakes and their fixes. Read the overview once before the first program; a "
        "section has the details: decision trees by bottleneck (latency, quality, cost, structure, scale), "
        "scenarios and recipes with programs, mistakes with wrong and right code."
    ),
    takes=SectionArguments,
    gives=PageReply,
    example='{"section": "choosing"}',
    read_only=True,
    act=get_usage_guide,
)
GET_PATTERN_DETAILS = ToolEntry(
    name="get_pattern_details",
    title="Pattern details",
    description=(
        "Everything about some patterns: problem, when and when not, complete runnable programs, figures "
        f"claimed and measured, tips, mistakes, what each composes with. They are {_listing()}."
    ),
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
