"""The tools: what each one takes and gives, what it tells a model about itself, and what it does."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from rlm_wasm.data import json_form
from rlm_wasm.errors import InternalError, RlmError
from rlm_wasm.mcp import guide as texts
from rlm_wasm.mcp import render
from rlm_wasm.mcp.notifier import Announcer
from rlm_wasm.mcp.tools.arguments import WrongArguments, checked
from rlm_wasm.planning import estimate as estimating
from rlm_wasm.planning import plan as planning

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from rlm_wasm.mcp.session_queue import Desk
    from rlm_wasm.mcp.session_registry import House

    Context = ServerRequestContext[House, Any]

log = logging.getLogger("rlm_wasm.mcp")

Answer = tuple[dict[str, Any], str]
"""Structured content, and the text of it."""

MAX_CONTEXT_BYTES = 100_000_000

TEXT = {"type": "string"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
MAYBE_NUMBER = {"type": ["number", "null"]}
FLAG = {"type": "boolean"}
OBJECT = {"type": "object"}
SESSION = {"type": "string", "minLength": 1, "description": "Named session; default: this connection's."}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required.split()
    return schema


EXECUTION = _object(
    "calls elapsed tokens",
    calls=INTEGER,
    elapsed=NUMBER,
    tokens=INTEGER,
    prompt_tokens=INTEGER,
    completion_tokens=INTEGER,
    cost_usd=MAYBE_NUMBER,
    cached=INTEGER,
    fuel=INTEGER,
    memory_bytes=INTEGER,
)
RESULT = _object(
    "status value stdout execution",
    status={"enum": ["finished", "ok", "error", "limit", "cancelled"]},
    value=TEXT,
    stdout=TEXT,
    stderr=TEXT,
    data={},
    error=_object("type message", type=TEXT, message=TEXT, line=INTEGER, column=INTEGER, hint=TEXT),
    truncated={"type": "array", "items": TEXT},
    rolled_back=FLAG,
    execution=EXECUTION,
)
MARKDOWN = _object("markdown", markdown=TEXT)
ESTIMATE = _object(
    "calls calls_by_model prompt_tokens completion_tokens fan_out depth cost_usd upper_bound_usd "
    "depends_on_answers notes status",
    status=TEXT,
    calls=INTEGER,
    calls_by_model={"type": "object", "additionalProperties": INTEGER},
    prompt_tokens=INTEGER,
    completion_tokens=INTEGER,
    fan_out=INTEGER,
    depth=INTEGER,
    cost_usd=MAYBE_NUMBER,
    upper_bound_usd=MAYBE_NUMBER,
    depends_on_answers=FLAG,
    notes={"type": "array", "items": TEXT},
)
STRATEGY = _object(
    "name patterns why program estimate",
    name=TEXT,
    patterns={"type": "array", "items": INTEGER},
    why=TEXT,
    program=TEXT,
    estimate=OBJECT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """One tool. ``example`` is what an answer to wrong arguments shows."""

    name: str
    title: str
    description: str
    act: Callable[[Context, dict[str, Any]], Awaitable[Answer | types.CallToolResult]]
    takes: dict[str, Any] = field(default_factory=lambda: _object())
    gives: dict[str, Any]
    example: str = "{}"
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False

    def listed(self) -> types.Tool:
        """As the protocol lists it."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema={**self.takes, "additionalProperties": False},
            output_schema=self.gives,
            annotations=types.ToolAnnotations(
                read_only_hint=self.read_only,
                destructive_hint=self.destructive if not self.read_only else None,
                idempotent_hint=self.idempotent if not self.read_only else None,
                open_world_hint=self.open_world,
            ),
        )


# ---- what the tools do


async def _desk(ctx: Context, arguments: dict[str, Any]) -> Desk:
    return await ctx.lifespan_context.desk(ctx, arguments.get("session"))


async def _execute_scheme(ctx: Context, arguments: dict[str, Any]) -> types.CallToolResult:
    desk = await _desk(ctx, arguments)
    timeout = arguments.get("timeout")
    most = desk.session.limits.timeout_s
    announcer = Announcer(
        ctx.session,
        ctx.request_id,
        most if timeout is None else min(float(timeout), most),
        ctx.lifespan_context.seat(ctx).level,
    )
    run = await desk.execute(arguments["code"], timeout, announcer)
    if run.result is None:
        raise InternalError("the execution ended without a result")
    return _answered((render.structured(run.result), render.readable(run.result)), failed=not run.result.ok)


async def _load_context(ctx: Context, arguments: dict[str, Any]) -> Answer:
    desk, name = await _desk(ctx, arguments), arguments.get("name")
    data, path = arguments.get("data"), arguments.get("path")
    if (data is None) == (path is None):
        raise WrongArguments('send either "data" (the text) or "path" (a file of the workspace)')
    text = data if data is not None else _workspace_file(desk, str(path))
    size = len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else len(text)
    if size > MAX_CONTEXT_BYTES:
        raise WrongArguments(f"the text has {size:,} bytes; a context can have {MAX_CONTEXT_BYTES:,}")
    await desk.load_context(text, name)
    characters = desk.session.state()["contexts"][name or "context"]
    how = "context" if name is None else f'(get-context "{name}")'
    return (
        {"name": name or "context", "characters": characters, "bytes": size},
        f"loaded {characters:,} characters: {how} is the text in a program; "
        f"(context-chunks 8000 200{'' if name is None else f' {name!r}'.replace(chr(39), chr(34))}) cuts it",
    )


def _workspace_file(desk: Desk, path: str) -> bytes:
    workspace = desk.runtime.workspace
    if workspace is None:
        raise WrongArguments(
            'this server has no workspace, so it reads no files: send the text as "data", or start the '
            "server with --workspace DIR"
        )
    file = (workspace / path).resolve()
    if not file.is_relative_to(workspace):
        raise WrongArguments(f"{path} is outside of the workspace: name a file inside of it")
    if not file.is_file():
        raise WrongArguments(f"there is no file {path} in the workspace")
    if file.stat().st_size > MAX_CONTEXT_BYTES:
        raise WrongArguments(f"{path} has {file.stat().st_size:,} bytes; {MAX_CONTEXT_BYTES:,} are the most")
    content = file.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WrongArguments(f"{path} is no UTF-8 text ({error.reason} at byte {error.start})") from None
    return content


async def _reset(ctx: Context, arguments: dict[str, Any]) -> Answer:
    desk = await _desk(ctx, arguments)
    await desk.reset()
    kept = await desk.session.checkpoints()
    return (
        {"reset": True, "checkpoints_kept": len(kept)},
        f"reset: definitions, Python variables, contexts and the log are gone; {len(kept)} checkpoints are "
        "kept",
    )


async def _get_scope_log(ctx: Context, arguments: dict[str, Any]) -> Answer:
    desk = await _desk(ctx, arguments)
    entries = desk.scope_log()
    first = max(0, len(entries) - arguments.get("last", 1_000))
    shown = json_form(entries[first:])
    text = render.log_lines(shown, first + 1)
    return {"entries": shown, "total": len(entries)}, text


async def _get_sandbox_state(ctx: Context, arguments: dict[str, Any]) -> Answer:
    state = json_form(await (await _desk(ctx, arguments)).state())
    return state, render.as_json(state)


async def _get_status(ctx: Context, arguments: dict[str, Any]) -> Answer:
    status = json_form((await _desk(ctx, arguments)).status())
    return status, render.as_json(status)


async def _cancel_call(ctx: Context, arguments: dict[str, Any]) -> Answer:
    desk = await _desk(ctx, arguments)
    wanted = arguments["call_id"]
    if wanted == "execution":
        cancelled = desk.current is not None
        desk.session.cancel()
        text = "the running program was cancelled" if cancelled else "no program is running"
        return {"cancelled": cancelled, "call_id": wanted}, text
    if isinstance(wanted, str) and not wanted.isdecimal():
        raise WrongArguments(f'"call_id" must be a call\'s number or "execution", not "{wanted}"')
    cancelled = desk.session.cancel_call(int(wanted))
    flying = [call["call_id"] for call in desk.session.state()["calls_in_flight"]]
    text = (
        f"call {wanted} was cancelled" if cancelled else f"no call {wanted} is in flight: {flying or 'none'}"
    )
    return {"cancelled": cancelled, "call_id": int(wanted), "in_flight": flying}, text


def _serving(name: str) -> Callable[[Context, dict[str, Any]], Awaitable[Answer]]:
    async def serve(_ctx: Context, _arguments: dict[str, Any]) -> Answer:
        text = texts.page(name)
        return {"markdown": text}, text

    return serve


async def _get_pattern_details(_ctx: Context, arguments: dict[str, Any]) -> Answer:
    wanted = list(dict.fromkeys(arguments["pattern_ids"]))
    known = texts.patterns()
    missing = [number for number in wanted if number not in known]
    if missing:
        raise WrongArguments(
            f"there is no pattern {missing[0]}: they are numbered from 1 to {texts.PATTERNS}"
        )
    shown = [known[number] for number in wanted]
    return (
        {
            "patterns": [
                {"id": p.id, "name": p.name, "goal": p.goal, "markdown": p.text, "program": p.program}
                for p in shown
            ]
        },
        "\n\n".join(p.text for p in shown),
    )


async def _estimate_cost(ctx: Context, arguments: dict[str, Any]) -> Answer:
    desk = await _desk(ctx, arguments)
    found = await desk.in_turn(
        lambda: estimating.estimate(desk.runtime, arguments["code"], session=desk.session)
    )
    return json_form(found), found.readable()


async def _plan_strategy(ctx: Context, arguments: dict[str, Any]) -> Answer:
    desk = await _desk(ctx, arguments)
    arguments.pop("session", None)
    task = planning.Task(**arguments)
    found = await desk.in_turn(lambda: planning.plan(desk.runtime, task, session=desk.session))
    return json_form(found), found.readable()


# ---- the table

_CODE = {
    "type": "string",
    "minLength": 1,
    "description": "The program: top-level forms, ending with (finish value) or an expression.",
}

_SCOPE_LOG = ToolEntry(
    name="get_scope_log",
    title="Scope log",
    description=(
        "Audit trail of the session: every llm-query, await, syntax-e, py-exec, checkpoint and unsafe-* in "
        "order, with a preview, scope, call id, model and tokens. Use it to see what sub-models were asked."
    ),
    takes=_object(
        last={"type": "integer", "minimum": 1, "description": "Only the last so many (default 1000)."},
        session=SESSION,
    ),
    gives=_object("entries total", entries={"type": "array", "items": OBJECT}, total=INTEGER),
    example='{"last": 50}',
    read_only=True,
    act=_get_scope_log,
)
_API = ToolEntry(
    name="get_code_generation_api_reference",
    title="API reference",
    description=(
        "Condensed reference of the whole API for writing programs: LLM calls, context, Python, checkpoints, "
        "JSON, strings, and the mistakes to avoid. Read it before the first program; also good as a "
        "sub-model's "
        "instruction when it is to write code."
    ),
    gives=MARKDOWN,
    read_only=True,
    act=_serving("api"),
)

ENTRIES: tuple[ToolEntry, ...] = (
    ToolEntry(
        name="execute_scheme",
        title="Run a Scheme program",
        description=(
            "Run a program in the persistent sandbox. Definitions, Python variables and loaded contexts stay "
            'for the next call. Sub-calls: (syntax-e (llm-query #:instruction "…" #:data text #:model '
            '"gpt-4.1-nano")) is text; (map-async (lambda (x) (llm-query-async #:instruction "…" #:data x)) '
            "items #:max-concurrent 20) is a list of texts, computed concurrently: use it for independent "
            "items, with a cheap model. llm-query gives a scoped value: unwrap it with syntax-e. #:json #t "
            'needs the word "json" in the instruction. End with (finish value). Never put large data into '
            "the code: load_context it and use context, (context-chunks size overlap), (context-search "
            'pattern). display prints to stdout of the answer, (eprintf "phase ~a\\n" n) to the log while it '
            "runs. Progress is reported every 2 s; calls in one session run in order; cancelling the request "
            "aborts its LLM calls. The answer has status finished (by finish), ok, error (message, place and "
            "hint: fix the program and send it again), limit or cancelled, and what was used in execution."
        ),
        takes=_object(
            "code",
            code=_CODE,
            timeout={
                "type": "number",
                "exclusiveMinimum": 0,
                "description": "Seconds; can only lower the server's limit (default 300).",
            },
            session=SESSION,
        ),
        gives=RESULT,
        example='{"code": "(finish (+ 1 2))", "timeout": 60}',
        destructive=False,
        open_world=True,
        act=_execute_scheme,
    ),
    ToolEntry(
        name="load_context",
        title="Load data",
        description=(
            "Give the sandbox a text of up to 100 MB: as data, or as path of a file in the server's "
            "workspace. "
            "Programs see it as `context`, or with a name as (get-context name); it is never copied into a "
            "prompt by itself. Loading again replaces it."
        ),
        takes=_object(
            data={"type": "string", "description": "The text itself."},
            name={"type": "string", "minLength": 1, "description": "Default: the main context."},
            path={"type": "string", "minLength": 1, "description": "Instead of data: a workspace file."},
            session=SESSION,
        ),
        gives=_object("name characters bytes", name=TEXT, characters=INTEGER, bytes=INTEGER),
        example='{"data": "the whole text", "name": "paper"}',
        idempotent=True,
        act=_load_context,
    ),
    ToolEntry(
        name="reset",
        title="Start afresh",
        description=(
            "Forget definitions, Python variables, contexts and the scope log, between unrelated tasks. "
            "Checkpoints are kept: (restore key) still finds them."
        ),
        takes=_object(session=SESSION),
        gives=_object("reset checkpoints_kept", reset=FLAG, checkpoints_kept=INTEGER),
        destructive=True,
        idempotent=True,
        act=_reset,
    ),
    _SCOPE_LOG,
    ToolEntry(
        name="get_execution_trace",
        title="Scope log (alias)",
        description="The same as get_scope_log.",
        takes=_SCOPE_LOG.takes,
        gives=_SCOPE_LOG.gives,
        example=_SCOPE_LOG.example,
        read_only=True,
        act=_get_scope_log,
    ),
    ToolEntry(
        name="get_sandbox_state",
        title="Sandbox state",
        description=(
            "What the session holds: names defined by programs (when idle), contexts and their lengths, "
            "checkpoint keys, limits and how much of them was used."
        ),
        takes=_object(session=SESSION),
        gives=_object(
            "running contexts checkpoints limits used",
            running=FLAG,
            contexts=OBJECT,
            limits=OBJECT,
            used=OBJECT,
            definitions={"type": "array", "items": TEXT},
            checkpoints={"type": "array", "items": TEXT},
        ),
        read_only=True,
        act=_get_sandbox_state,
    ),
    ToolEntry(
        name="get_status",
        title="What is running",
        description=(
            "Answers at once, also while a program runs: calls done and in flight (call_id, model, seconds), "
            "programs waiting, tokens and cost so far."
        ),
        takes=_object(session=SESSION),
        gives=_object(
            "running queued calls_in_flight used",
            running=FLAG,
            queued=INTEGER,
            calls_in_flight={"type": "array", "items": OBJECT},
            calls_queued=INTEGER,
            used=OBJECT,
            run=OBJECT,
            last_run=OBJECT,
        ),
        read_only=True,
        act=_get_status,
    ),
    ToolEntry(
        name="cancel_call",
        title="Cancel a call",
        description=(
            "Cancel one LLM call by the call_id that get_status shows, or the running program with "
            '"execution". Awaiting the cancelled call raises a condition in the program; the session stays '
            "usable."
        ),
        takes=_object(
            "call_id",
            call_id={"type": ["integer", "string"], "description": 'A number, or "execution".'},
            session=SESSION,
        ),
        gives=_object(
            "cancelled call_id",
            cancelled=FLAG,
            call_id={"type": ["integer", "string"]},
            in_flight={"type": "array", "items": INTEGER},
        ),
        example='{"call_id": 7}',
        destructive=True,
        idempotent=True,
        act=_cancel_call,
    ),
    ToolEntry(
        name="get_usage_guide",
        title="Usage guide",
        description=(
            "How to work with this server: workflow, choosing among the 16 orchestration patterns, choosing "
            "models, common mistakes and their fixes. Read it once before the first program."
        ),
        gives=MARKDOWN,
        read_only=True,
        act=_serving("guide"),
    ),
    ToolEntry(
        name="get_pattern_details",
        title="Pattern details",
        description=(
            "Complete runnable programs for patterns: 1 parallel fan-out, 2 code generation, 3 recursive "
            "delegation, 4 critique-refine, 5 cumulative fold, 6 meta-orchestration, 7 speculative "
            "execution, "
            "8 ensemble voting, 9 active learning, 10 tree aggregation, 11 consensus, 12 backtracking, "
            "13 anytime, 14 memoization, 15 streaming, 16 multi-armed bandit."
        ),
        takes=_object(
            "pattern_ids",
            pattern_ids={
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": texts.PATTERNS},
                "minItems": 1,
                "description": "Such as [1, 4].",
            },
        ),
        gives=_object(
            "patterns",
            patterns={
                "type": "array",
                "items": _object(
                    "id name markdown program", id=INTEGER, name=TEXT, goal=TEXT, markdown=TEXT, program=TEXT
                ),
            },
        ),
        example='{"pattern_ids": [1, 4]}',
        read_only=True,
        act=_get_pattern_details,
    ),
    _API,
    ToolEntry(
        name="get_codegen_reference",
        title="API reference (alias)",
        description="The same as get_code_generation_api_reference.",
        gives=MARKDOWN,
        read_only=True,
        act=_API.act,
    ),
    ToolEntry(
        name="get_combinator_reference",
        title="Combinators",
        description=(
            "Signatures and an example of each combinator: parallel, race, tree-reduce, fan-out-aggregate, "
            "critique-refine, vote, ensemble, tiered, active-learning, memoized and the rest."
        ),
        gives=MARKDOWN,
        read_only=True,
        act=_serving("combinators"),
    ),
    ToolEntry(
        name="plan_strategy",
        title="Plan a strategy",
        description=(
            "Turn a task into programs: a recommended one, alternatives and creative ones, each complete, "
            "checked by a dry run and with its estimated calls, tokens and dollars. Load the data first: the "
            "figures then fit it. Pick one, adapt it, execute_scheme it."
        ),
        takes=_object(
            "task_description",
            task_description={
                "type": "string",
                "minLength": 1,
                "description": "What is to be found out or made.",
            },
            data_characteristics={"type": "string", "description": 'Such as "500 papers of 10 pages".'},
            constraints={"type": "string", "description": 'Such as "under $2, no gpt-4o".'},
            priority={"type": "string", "enum": ["balanced", "speed", "quality", "cost"]},
            scale={
                "type": ["integer", "string"],
                "description": "small, medium, large, massive, or the number of items.",
            },
            min_outputs={"type": "integer", "minimum": 1, "description": "Results that are needed at least."},
            coverage_target={
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 1,
                "description": "Share of the data that must be read (default 1).",
            },
            session=SESSION,
        ),
        gives=_object(
            "recommended alternatives creative notes",
            recommended=STRATEGY,
            alternatives={"type": "array", "items": STRATEGY},
            creative={"type": "array", "items": STRATEGY},
            notes={"type": "array", "items": TEXT},
        ),
        example='{"task_description": "Summarize the themes of these reviews", "priority": "cost"}',
        read_only=True,
        open_world=True,
        act=_plan_strategy,
    ),
    ToolEntry(
        name="estimate_cost",
        title="Estimate a program's cost",
        description=(
            "Run a program against made-up answers, in a copy of the session, before anything is spent: "
            "calls "
            "by model, tokens, fan-out, depth, expected cost and an upper bound in USD, and whether the "
            "figures "
            "depend on what models answer. Changes nothing."
        ),
        takes=_object("code", code=_CODE, session=SESSION),
        gives=ESTIMATE,
        example='{"code": "(finish (syntax-e (llm-query #:instruction \\"Summarize\\" #:data context)))"}',
        read_only=True,
        act=_estimate_cost,
    ),
)

_BY_NAME = {entry.name: entry for entry in ENTRIES}


@cache
def listed() -> list[types.Tool]:
    """All tools, as the protocol lists them."""
    return [entry.listed() for entry in ENTRIES]


def input_schema(name: str) -> dict[str, Any] | None:
    """For the SDK's own checks of HTTP headers."""
    entry = _BY_NAME.get(name)
    return None if entry is None else entry.takes


async def call(ctx: Context, name: str, given: dict[str, Any] | None) -> types.CallToolResult:
    """Call a tool. What a model can mend is an answer; only an unknown tool is a protocol error."""
    entry = _BY_NAME.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_BY_NAME)}"
        raise MCPError(types.INVALID_PARAMS, f"there is no tool {name}: {hint}")
    try:
        answer = await entry.act(ctx, checked(entry.takes, given))
    except WrongArguments as error:
        return _refused(f"{name}: {error}. Send, for example, {entry.example}")
    except InternalError as error:
        log.exception("%s failed", name)
        return _refused(f"{name}: internal error: {error}. This is a defect of rlm-wasm.")
    except RlmError as error:
        return _refused(f"{name}: {error}")
    except Exception as error:
        log.exception("%s failed", name)
        return _refused(
            f"{name}: internal error: {type(error).__name__}: {error}. This is a defect of rlm-wasm."
        )
    return answer if isinstance(answer, types.CallToolResult) else _answered(answer)


def _answered(answer: Answer, *, failed: bool = False) -> types.CallToolResult:
    structured, text = answer
    return types.CallToolResult(
        content=[types.TextContent(text=text)], structured_content=structured, is_error=failed
    )


def _refused(message: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=message)], is_error=True)
