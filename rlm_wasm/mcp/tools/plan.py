"""The tools that say what a program or a task would take, before anything is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rlm_wasm.data import json_form
from rlm_wasm.mcp import render
from rlm_wasm.mcp.tools.arguments import (
    NUMERIC,
    Arguments,
    Choice,
    Integer,
    Maybe,
    Reply,
    SessionName,
    Text,
)
from rlm_wasm.mcp.tools.entry import Answer, ToolEntry
from rlm_wasm.mcp.tools.execute import Code
from rlm_wasm.planning import Estimate, Task, estimate, plan

if TYPE_CHECKING:
    from rlm_wasm.mcp.tools.entry import Context


class EstimateArguments(Arguments):
    """A program."""

    code: Code
    session: Maybe[SessionName] = None


class PlanArguments(Arguments):
    """A task: the fields of ``rlm_wasm.planning.Task``."""

    task_description: Annotated[Text, Field(description="What is to be found out or made.")]
    data_characteristics: Annotated[Maybe[str], Field(description='Such as "500 papers of 10 pages".')] = None
    constraints: Annotated[Maybe[str], Field(description='Such as "under $2, no gpt-4o".')] = None
    priority: Maybe[Choice[Literal["balanced", "speed", "quality", "cost"]]] = None
    scale: Annotated[
        Maybe[Annotated[Integer | str, Field(union_mode="left_to_right")]],
        Field(description="small, medium, large, massive, or the number of items."),
    ] = None
    min_outputs: Annotated[
        Maybe[Annotated[int, Field(ge=1), NUMERIC]], Field(description="Results that are needed at least.")
    ] = None
    coverage_target: Annotated[
        Maybe[Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), NUMERIC]],
        Field(description="Share of the data that must be read (default 1)."),
    ] = None
    session: Maybe[SessionName] = None


class StrategyReply(Reply):
    """A program with the reasons for it."""

    name: str
    patterns: list[int]
    why: str
    program: str
    estimate: dict[str, Any]


class PlanReply(Reply):
    """The recommended strategy first."""

    recommended: StrategyReply
    alternatives: list[StrategyReply]
    creative: list[StrategyReply]
    notes: list[str]


async def estimate_cost(ctx: Context, arguments: EstimateArguments) -> Answer:
    """Run a program dry, in turn."""
    queue = await ctx.lifespan_context.queue(ctx, arguments.session)
    result = await queue.in_turn(lambda: estimate(queue.runtime, arguments.code, session=queue.session))
    max_chars = queue.bounds.result_chars
    return Answer(render.shortened(result, max_chars), result.to_text()[:max_chars])


async def plan_strategy(ctx: Context, arguments: PlanArguments) -> Answer:
    """Compose programs for a task, in turn."""
    queue = await ctx.lifespan_context.queue(ctx, arguments.session)
    task = Task(**arguments.model_dump(exclude={"session"}, exclude_unset=True))
    result = await queue.in_turn(lambda: plan(queue.runtime, task, session=queue.session))
    return Answer(json_form(result), result.to_text())


PLAN_STRATEGY = ToolEntry(
    name="plan_strategy",
    title="Plan a strategy",
    description=(
        "Turn a task into programs: a recommended one, alternatives and creative ones, each complete, "
        "checked by a dry run and with its estimated calls, tokens and dollars. Load the data first: the "
        "figures then fit it. Pick one, adapt it, execute_scheme it."
    ),
    takes=PlanArguments,
    gives=PlanReply,
    example='{"task_description": "Summarize the themes of these reviews", "priority": "cost"}',
    read_only=True,
    open_world=True,
    act=plan_strategy,
)
ESTIMATE_COST = ToolEntry(
    name="estimate_cost",
    title="Estimate a program's cost",
    description=(
        "Run a program against made-up answers, in a copy of the session, before anything is spent: calls"
        " by model, tokens, fan-out, depth, expected cost and an upper bound in USD, and whether the "
        "figures depend on what models answer. Changes nothing."
    ),
    takes=EstimateArguments,
    gives=Estimate,
    example='{"code": "(finish (syntax-e (llm-query #:instruction \\"Summarize\\" #:data context)))"}',
    read_only=True,
    act=estimate_cost,
)
