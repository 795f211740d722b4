"""The tools that load, show and forget what a session holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from rlm_wasm.capabilities.workspace import Workspace, refusal
from rlm_wasm.errors import InvalidToolArguments
from rlm_wasm.mcp import render
from rlm_wasm.mcp.tools.arguments import (
    NUMERIC,
    Arguments,
    Maybe,
    Reply,
    SessionName,
    Text,
)
from rlm_wasm.mcp.tools.entry import Answer, ToolEntry

if TYPE_CHECKING:
    from rlm_wasm.mcp.session_queue import SessionQueue
    from rlm_wasm.mcp.tools.entry import Context

MAX_CONTEXT_BYTES = 100_000_000
MAX_CONTEXTS = 1_000
MAX_CONTEXT_NAME = 1_000
DEFAULT_ENTRIES = 1_000


class SessionArguments(Arguments):
    """The session that is meant."""

    session: Maybe[SessionName] = None


class LoadArguments(Arguments):
    """A text, or where it stands."""

    data: Annotated[Maybe[str], Field(description="The text itself.")] = None
    name: Annotated[Maybe[Text], Field(description="Default: the main context.")] = None
    path: Annotated[Maybe[Text], Field(description="Instead of data: a workspace file.")] = None
    session: Maybe[SessionName] = None


class LoadReply(Reply):
    """What was loaded."""

    name: str
    characters: int
    bytes: int
    session: str = ""
    notice: str = ""


class ResetReply(Reply):
    """What was forgotten, and what not."""

    reset: bool
    checkpoints_kept: int


class LogArguments(Arguments):
    """How much of the log."""

    before: Annotated[
        Maybe[Annotated[int, Field(ge=2), NUMERIC]],
        Field(description="Only entries before this number, for what an answer left out."),
    ] = None

    last: Annotated[
        Maybe[Annotated[int, Field(ge=1), NUMERIC]],
        Field(description=f"Only the last so many (default {DEFAULT_ENTRIES})."),
    ] = None
    session: Maybe[SessionName] = None


class LogReply(Reply):
    """Entries of the scope log; ``total`` is how many there are in all, ``first`` the first one's number."""

    entries: list[dict[str, Any]]
    total: int
    first: int


class StateReply(Reply):
    """What the sandbox holds."""

    running: bool
    contexts: dict[str, Any]
    limits: dict[str, Any]
    used: dict[str, Any]
    definitions: list[str] = Field(default_factory=list)
    checkpoints: list[str]


class StatusReply(Reply):
    """What is going on."""

    running: bool
    queued: int
    calls_in_flight: list[dict[str, Any]]
    calls_queued: int = 0
    used: dict[str, Any]
    run: dict[str, Any] = Field(default_factory=dict)
    last_run: dict[str, Any] = Field(default_factory=dict)


async def load_context(ctx: Context, arguments: LoadArguments) -> Answer:
    """Load a text from the arguments or from the workspace."""
    queue = await ctx.lifespan_context.queue(ctx, arguments.session)
    text: str | bytes
    if arguments.data is not None and arguments.path is None:
        text = arguments.data
    elif arguments.path is not None and arguments.data is None:
        text = _workspace_file(queue, arguments.path)
    else:
        raise InvalidToolArguments('send either "data" (the text) or "path" (a file of the workspace)')
    size = len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else len(text)
    if size > MAX_CONTEXT_BYTES:
        raise InvalidToolArguments(f"the text has {size:,} bytes; a context can have {MAX_CONTEXT_BYTES:,}")
    _check_room(queue, arguments.name, size)
    await queue.load_context(text, arguments.name)
    name = arguments.name or "context"
    characters = queue.session.state()["contexts"][name]
    expression, argument = (
        ("context", "") if arguments.name is None else (f'(get-context "{name}")', f' "{name}"')
    )
    told = queue.told()
    return Answer(
        LoadReply(name=name, characters=characters, bytes=size, **told),
        render.with_news(
            f"loaded {characters:,} characters: {expression} is the text in a program; "
            f"(context-chunks 8000 200{argument}) cuts it",
            told,
        ),
    )


def _check_room(queue: SessionQueue, name: str | None, size: int) -> None:
    """Raises InvalidToolArguments: too many contexts, too large ones together, or a name too long."""
    if name is not None and len(name) > MAX_CONTEXT_NAME:
        raise InvalidToolArguments(f"a context's name has at most {MAX_CONTEXT_NAME} characters")
    others = {key: text for key, text in queue.session.contexts.items() if key != name}
    max_bytes = queue.bounds.context_bytes
    if len(others) >= MAX_CONTEXTS:
        raise InvalidToolArguments(
            f"the session has {len(others):,} contexts already: reset, or load in place of one"
        )
    if sum(map(len, others.values())) + size > max_bytes:
        raise InvalidToolArguments(
            f"with this text the session's contexts would have more than {max_bytes:,} bytes: reset, or"
            " load in place of one"
        )


def _workspace_file(queue: SessionQueue, path: str) -> bytes:
    folder = queue.runtime.grants.workspace
    if folder is None:
        raise InvalidToolArguments(
            'this server has no workspace, so it reads no files: send the text as "data", or start the '
            "server with --workspace DIR"
        )
    try:
        content = Workspace(folder, writable=False).read_bytes(path, MAX_CONTEXT_BYTES)
    except FileNotFoundError:
        raise InvalidToolArguments(f"there is no file {path} in the workspace") from None
    except OSError as error:
        raise InvalidToolArguments(f"cannot read the workspace file {refusal(error)}") from None
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidToolArguments(
            f"{path} is no UTF-8 text ({error.reason} at byte {error.start})"
        ) from None
    return content


async def reset(ctx: Context, arguments: SessionArguments) -> Answer:
    """Forget everything but the checkpoints."""
    queue = await ctx.lifespan_context.queue(ctx, arguments.session)
    await queue.reset()
    checkpoints = len(await queue.session.checkpoints())
    return Answer(
        ResetReply(reset=True, checkpoints_kept=checkpoints),
        "reset: definitions, Python variables, contexts and the log are gone;"
        f" {checkpoints:,} checkpoint{' is' if checkpoints == 1 else 's are'} kept",
    )


async def get_scope_log(ctx: Context, arguments: LogArguments) -> Answer:
    """The last entries of the scope log."""
    entries = (await ctx.lifespan_context.queue(ctx, arguments.session)).scope_log()
    until = len(entries) if arguments.before is None else min(arguments.before - 1, len(entries))
    first = max(0, until - (arguments.last or DEFAULT_ENTRIES))
    chosen = render.newest(entries[first:until], ctx.lifespan_context.bounds.result_chars)
    left_out = until - first - len(chosen)
    first = until - len(chosen)
    text = render.log_lines(chosen, first + 1)
    if left_out:
        text = f"[{left_out:,} earlier entries: ask with before={first + 1}]\n{text}"
    return Answer({"entries": chosen, "total": len(entries), "first": first + 1}, text)


async def get_sandbox_state(ctx: Context, arguments: SessionArguments) -> Answer:
    """What the session holds."""
    queue = await ctx.lifespan_context.queue(ctx, arguments.session)
    state = render.shortened(await queue.state(), ctx.lifespan_context.bounds.result_chars)
    return Answer(state, render.as_json(state))


async def get_status(ctx: Context, arguments: SessionArguments) -> Answer:
    """What is going on, at once."""
    queue = await ctx.lifespan_context.queue(ctx, arguments.session)
    status = render.shortened(queue.status(), ctx.lifespan_context.bounds.result_chars)
    return Answer(status, render.as_json(status))


LOAD_CONTEXT = ToolEntry(
    name="load_context",
    title="Load data",
    description=(
        "Give the sandbox a text of up to 100 MB: as data, or as path of a file in the server's "
        "workspace. Programs see it as `context`, or with a name as (get-context name); it is never "
        "copied into a prompt by itself. Loading again replaces it."
    ),
    takes=LoadArguments,
    gives=LoadReply,
    example='{"data": "the whole text", "name": "paper"}',
    idempotent=True,
    act=load_context,
)
RESET = ToolEntry(
    name="reset",
    title="Start afresh",
    description=(
        "Forget definitions, Python variables, contexts and the scope log, between unrelated tasks. "
        "Checkpoints are kept: (restore key) still finds them."
    ),
    takes=SessionArguments,
    gives=ResetReply,
    destructive=True,
    idempotent=True,
    act=reset,
)
GET_SCOPE_LOG = ToolEntry(
    name="get_scope_log",
    title="Scope log",
    description=(
        "Audit trail of the session: every llm-query, await, syntax-e, py-exec, checkpoint and unsafe-* "
        "in order, with a preview, scope, call id, model and tokens. Use it to see what sub-models were "
        "asked."
    ),
    takes=LogArguments,
    gives=LogReply,
    example='{"last": 50}',
    read_only=True,
    act=get_scope_log,
)
GET_EXECUTION_TRACE = replace(
    GET_SCOPE_LOG,
    name="get_execution_trace",
    title="Scope log (alias)",
    description="The same as get_scope_log.",
)
GET_SANDBOX_STATE = ToolEntry(
    name="get_sandbox_state",
    title="Sandbox state",
    description=(
        "What the session holds: names defined by programs (when idle), contexts and their lengths, "
        "checkpoint keys, limits and how much of them was used."
    ),
    takes=SessionArguments,
    gives=StateReply,
    read_only=True,
    act=get_sandbox_state,
)
GET_STATUS = ToolEntry(
    name="get_status",
    title="What is running",
    description=(
        "Answers at once, also while a program runs: calls done and in flight (call_id, model, seconds), "
        "programs waiting, tokens and cost so far."
    ),
    takes=SessionArguments,
    gives=StatusReply,
    read_only=True,
    act=get_status,
)
