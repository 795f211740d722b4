"""The tools that run programs and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rlm_wasm.errors import InternalError, InvalidToolArguments
from rlm_wasm.mcp import render
from rlm_wasm.mcp.tools.arguments import (
    NUMERIC,
    Arguments,
    Integer,
    Maybe,
    Reply,
    SessionName,
    Text,
)
from rlm_wasm.mcp.tools.entry import Answer, ToolEntry
from rlm_wasm.results import Execution, Status

if TYPE_CHECKING:
    from rlm_wasm.mcp.tools.entry import Context

Code = Annotated[
    Text,
    Field(description="The program: top-level forms, ending with (finish value) or an expression."),
]


class ExecuteArguments(Arguments):
    """A program, and how long it may take."""

    code: Code
    timeout: Annotated[
        Maybe[Annotated[float, Field(gt=0, allow_inf_nan=False), NUMERIC]],
        Field(description="Seconds; can only lower the server's limit (default 300)."),
    ] = None
    session: Maybe[SessionName] = None


class ErrorReply(Reply):
    """What went wrong in a program."""

    type: str
    message: str
    line: int = 0
    column: int = 0
    hint: str = ""


class ExecuteReply(Reply):
    """The result of a program."""

    status: Status
    value: str
    stdout: str
    stderr: str = ""
    data: Any = None
    error: ErrorReply = ErrorReply(type="", message="")
    truncated: list[str] = Field(default_factory=list)
    rolled_back: bool = False
    session: str = ""
    notice: str = ""
    answers: str = ""
    warnings: list[str] = Field(default_factory=list)
    execution: Execution


class CancelArguments(Arguments):
    """What is to be cancelled."""

    call_id: Annotated[
        Integer | str, Field(union_mode="left_to_right", description='A number, or "execution".')
    ]
    session: Maybe[SessionName] = None


class CancelReply(Reply):
    """Whether something was cancelled."""

    cancelled: bool
    call_id: int | Literal["execution"]
    in_flight: list[int] = Field(default_factory=list)


async def execute_scheme(ctx: Context, arguments: ExecuteArguments) -> Answer:
    """Run a program, with progress for the client."""
    clients = ctx.lifespan_context
    queue = await clients.queue(ctx, arguments.session)
    notifier = clients.notifier(ctx, queue, arguments.timeout)
    run = await queue.execute(arguments.code, arguments.timeout, notifier)
    if run.result is None:
        raise InternalError("the execution ended without a result")
    max_chars, rest = clients.bounds.result_chars, render.rest_of(queue, run.id)
    content, text = (
        render.structured(run.result, max_chars, rest),
        render.to_text(run.result, max_chars, rest),
    )
    told = {**queue.told(), **render.about_answers(run.result, clients.runtime)}
    return Answer({**content, **told}, render.with_news(text, told), failed=not run.result.ok)


async def cancel_call(ctx: Context, arguments: CancelArguments) -> Answer:
    """Cancel a call, or the program that runs."""
    queue = await ctx.lifespan_context.queue(ctx, arguments.session)
    wanted = arguments.call_id
    if wanted == "execution":
        cancelled = queue.current is not None
        queue.session.cancel()
        text = "the running program was cancelled" if cancelled else "no program is running"
        return Answer(CancelReply(cancelled=cancelled, call_id="execution"), text)
    if isinstance(wanted, str):
        raise InvalidToolArguments(f'"call_id" must be a call\'s number or "execution", not "{wanted}"')
    cancelled = queue.session.cancel_call(wanted)
    in_flight = [call["call_id"] for call in queue.session.state()["calls_in_flight"]]
    text = f"call {wanted} was cancelled"
    if not cancelled:
        text = f"no call {wanted} is in flight: {in_flight or 'none'}"
    return Answer(CancelReply(cancelled=cancelled, call_id=wanted, in_flight=in_flight), text)


EXECUTE_SCHEME = ToolEntry(
    name="execute_scheme",
    title="Run a Scheme program",
    description=(
        "Run a program in the persistent sandbox. Definitions, Python variables and loaded contexts stay "
        'for the next call. Sub-calls: (syntax-e (llm-query #:instruction "…" #:data text #:model '
        '"cheap")) is text; (map-async (lambda (x) (llm-query-async #:instruction "…" #:data x)) '
        "items #:max-concurrent 20) is a list of texts, computed concurrently: use it for independent "
        "items, with a cheap model. llm-query gives a scoped value: unwrap it with syntax-e. #:json #t "
        'needs the word "json" in the instruction. End with (finish value). Never put large data into the'
        " code: load_context it and use context, (context-chunks size overlap), (context-search pattern)."
        ' display prints to stdout of the answer, (eprintf "phase ~a\\n" n) to the log while it runs. '
        "Progress is reported every 2 s; calls in one session run in order; cancelling the request aborts"
        " its LLM calls. The answer has status finished (by finish), ok, error (message, place and hint: "
        "fix the program and send it again), limit or cancelled, and what was used in execution."
    ),
    takes=ExecuteArguments,
    gives=ExecuteReply,
    example='{"code": "(finish (+ 1 2))", "timeout": 60}',
    destructive=False,
    open_world=True,
    act=execute_scheme,
)
CANCEL_CALL = ToolEntry(
    name="cancel_call",
    title="Cancel a call",
    description=(
        "Cancel one LLM call by the call_id that get_status shows, or the running program with "
        '"execution". Awaiting the cancelled call raises a condition in the program; the session stays '
        "usable."
    ),
    takes=CancelArguments,
    gives=CancelReply,
    example='{"call_id": 7}',
    destructive=True,
    idempotent=True,
    act=cancel_call,
)
