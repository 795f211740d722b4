"""The tool that answers a question over the loaded contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rlm_wasm import results
from rlm_wasm.asking.answer import Answer as Found
from rlm_wasm.asking.bounds import bounded
from rlm_wasm.errors import InternalError
from rlm_wasm.mcp import render
from rlm_wasm.mcp.tools.arguments import NUMERIC, Arguments, Maybe, Reply, SessionName, Text
from rlm_wasm.mcp.tools.entry import Answer, ToolEntry
from rlm_wasm.mcp.tools.execute import ExecuteReply

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Step
    from rlm_wasm.mcp.tools.entry import Context

_STEPS = 20
"""Iterations that an answer lists: the last ones."""
_STEP_CHARS = 300
"""Characters of each text of an iteration."""


class AskArguments(Arguments):
    """A question, and what it is about."""

    question: Annotated[Text, Field(description="What is to be found out.")]
    name: Annotated[
        Maybe[Text], Field(description="The context that it is about; default: all that are loaded.")
    ] = None
    model: Annotated[Maybe[Text], Field(description="The model that writes the programs.")] = None
    max_iterations: Annotated[
        Maybe[Annotated[int, Field(ge=1), NUMERIC]], Field(description="Programs to try (default 20).")
    ] = None
    timeout: Annotated[
        Maybe[Annotated[float, Field(gt=0, allow_inf_nan=False), NUMERIC]],
        Field(description="Seconds; can only lower the server's limit (default 300)."),
    ] = None
    session: Maybe[SessionName] = None


class StepReply(Reply):
    """One iteration, its texts cut."""

    number: int
    program: str
    value: str = ""
    output: str = ""
    error: str = ""
    calls: int = 0


class AskReply(ExecuteReply):
    """An answer and how it was come by."""

    how: str = "none"
    computed: bool = False
    asked_again: int = 0
    steps: list[StepReply] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


async def ask(ctx: Context, arguments: AskArguments) -> Answer:
    """Answer a question, with progress for the client."""
    clients = ctx.lifespan_context
    queue = await clients.queue(ctx, arguments.session)
    notifier = clients.notifier(ctx, queue, arguments.timeout)
    run = await queue.ask(
        arguments.question,
        arguments.name,
        notifier,
        model=arguments.model,
        max_iterations=arguments.max_iterations,
        timeout_s=arguments.timeout,
    )
    found = run.result
    if not isinstance(found, Found):
        raise InternalError("the question ended without an answer")
    max_chars, rest = clients.bounds.result_chars, render.rest_of(queue, run.id)
    content = {
        **render.structured(found, max_chars, rest),
        "how": found.how,
        "computed": found.computed,
        "asked_again": found.asked_again,
        "steps": [_step(step) for step in found.steps[-_STEPS:]],
        "notes": [note[:1_000] for note in found.notes[:20]],
    }
    told = {**queue.told(), **render.about_answers(found, clients.runtime)}
    text = _text(found, max_chars, rest)
    return Answer(
        {**content, **told}, render.with_news(text, told), failed=found.status in ("error", "cancelled")
    )


def _text(found: Found, max_chars: int, rest: str) -> str:
    notes = "\n".join(f"note: {note[:1_000]}" for note in found.notes[:10])
    if found.how != "last word":
        text = render.to_text(found, max_chars - len(notes), rest)
        return f"{text}\n\n{notes}" if notes else text
    why = "" if found.error is None else found.error.message
    value = bounded(found.value, max(max_chars - len(notes) - len(why) - 500, 500))
    used = results.used_line(found.execution)
    return f"NOT COMPUTED ({why}). The model's last word:\n{value}\n\n{notes}\n\n[{used}]"


def _step(step: Step) -> dict[str, object]:
    texts = {
        "program": step.program,
        "value": step.value,
        "output": step.output,
        "error": step.error,
    }
    return {
        "number": step.number,
        **{name: bounded(text, _STEP_CHARS) for name, text in texts.items()},
        "calls": step.calls,
    }


ASK = ToolEntry(
    name="ask",
    title="Ask a question over the loaded data",
    description=(
        "Answer a question over the contexts that load_context loaded, however large: a model writes "
        "programs in this session, looks at what they find, and goes on until one has the answer. Use it "
        "where you need an answer and not a program of your own. computed is true where a program found "
        "it; where iterations, money or time ran out it is the model's last word, and says so. What its "
        "programs define stays for execute_scheme."
    ),
    takes=AskArguments,
    gives=AskReply,
    example='{"question": "Which reports mention a delay?", "name": "reports"}',
    destructive=False,
    open_world=True,
    act=ask,
)
