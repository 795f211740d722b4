"""The server: the SDK's requests, answered from the sessions of whoever asks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.server import NotificationOptions
from mcp.shared.exceptions import MCPError

import rlm_wasm
from rlm_wasm.errors import RlmError
from rlm_wasm.mcp import prompts, resources
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.mcp.clients import Clients, ServerState
from rlm_wasm.mcp.tools import table as tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.server.context import ServerRequestContext

    from rlm_wasm.mcp.session_queue import SessionQueue
    from rlm_wasm.runtime import Runtime

    Context = ServerRequestContext[Clients, Any]

_SHOWN: Final = 2_000
"""Characters of what a client sent that its refusal repeats."""

CLOSING_S = 30.0
"""Seconds that sessions have to end and to be saved when their transport closes."""

INSTRUCTIONS = """\
A persistent Scheme REPL (R7RS with Racket's common procedures) for orchestrating LLM sub-calls over \
data too large for one prompt. Workflow: load_context (data) → execute_scheme (a program that calls \
llm-query / map-async and ends with (finish value), or ask (a question, answered by programs that a model \
writes)) → get_scope_log (audit) → reset (before an \
unrelated task). State persists between calls. Read get_usage_guide first; get_pattern_details for \
complete programs; plan_strategy and estimate_cost before spending."""


def make_server(
    runtime: Runtime,
    *,
    session: str | None = None,
    bounds: ServerBounds | None = None,
    viewer_url: str | None = None,
) -> Server[Clients]:
    """A server over the runtime, for any transport of the SDK.

    ``session`` names the session of clients that name none: it is shared by them, and where the
    runtime has a store it is taken up again after a restart. Without it a client that names no session
    has one of its own. ``bounds`` is what the server keeps and sends at the most. ``viewer_url`` is told to
    every client as a resource: the page shows all of their runs. Closing the transport
    closes the sessions, never the runtime.
    """
    shared: ServerState | None = None
    streams = 0

    @asynccontextmanager
    async def lifespan(_server: Server[Clients]) -> AsyncIterator[Clients]:
        # A transport with one stream opens this for the stream, HTTP once for all of its clients.
        nonlocal shared, streams
        if shared is None:
            shared = ServerState(runtime, bounds or ServerBounds(), session=session, viewer_url=viewer_url)
        streams += 1
        clients = Clients(shared)
        try:
            yield clients
        finally:
            streams -= 1
            # A transport that was cancelled would cancel this, too, and leave programs running.
            with anyio.move_on_after(CLOSING_S, shield=True):
                await clients.aclose()
                if not streams:
                    closing, shared = shared, None
                    if closing is not None:
                        await closing.aclose()

    server: Server[Clients] = _Server(
        "rlm-wasm",
        version=rlm_wasm.__version__,
        title="rlm-wasm: Scheme programs that orchestrate LLM calls",
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        get_tool_input_schema=tools.input_schema,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        on_list_resources=_list_resources,
        on_list_resource_templates=_list_templates,
        on_read_resource=_read_resource,
        on_subscribe_resource=_subscribe,
        on_unsubscribe_resource=_unsubscribe,
        on_subscriptions_listen=_listen,
        on_list_prompts=_list_prompts,
        on_get_prompt=_get_prompt,
        on_completion=_complete,
    )
    # Deprecated with the protocol of 2026-07-28, and what clients of the eras before it speak.
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, _set_level)
    return server


class _Server(Server[Clients]):
    """Says that the resource list changes, whatever transport asks for the options."""

    def create_initialization_options(self, *args: Any, **options: Any) -> Any:
        """As the base class, with the notifications that this server sends."""
        if not args and "notification_options" not in options:
            options["notification_options"] = NotificationOptions(resources_changed=True)
        return super().create_initialization_options(*args, **options)


async def _list_tools(ctx: Context, _params: Any) -> types.ListToolsResult:
    del ctx
    return types.ListToolsResult(tools=tools.listed())


async def _call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    return await tools.call(ctx, params.name, params.arguments)


async def _list_resources(ctx: Context, _params: Any) -> types.ListResourcesResult:
    queue = await _queue(ctx)
    return types.ListResourcesResult(resources=resources.listed(queue, ctx.lifespan_context.viewer_url))


async def _list_templates(ctx: Context, _params: Any) -> types.ListResourceTemplatesResult:
    del ctx
    return types.ListResourceTemplatesResult(resource_templates=resources.templates())


async def _read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    name, own = resources.session_of(uri)
    contents = resources.read(await _queue(ctx, name), own, ctx.lifespan_context.viewer_url)
    if contents is None:
        raise MCPError(
            types.INVALID_PARAMS,
            f"there is no resource {uri[:_SHOWN]}: resources/list shows those that exist",
            {"uri": uri[:_SHOWN]},
        )
    return types.ReadResourceResult(contents=[contents.model_copy(update={"uri": uri})])


async def _subscribe(ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
    clients = ctx.lifespan_context
    await _queue(ctx)
    try:
        clients.client(ctx).subscribe(str(params.uri), ctx.session, clients.bounds.subscriptions)
    except RlmError as error:
        raise MCPError(types.INVALID_PARAMS, str(error)[:_SHOWN]) from error
    return types.EmptyResult()


async def _unsubscribe(ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
    ctx.lifespan_context.client(ctx).unsubscribe(str(params.uri))
    return types.EmptyResult()


async def _listen(
    ctx: Context, params: types.SubscriptionsListenRequestParams
) -> types.SubscriptionsListenResult:
    return await ctx.lifespan_context.listeners(ctx).listen(ctx, params)


async def _queue(ctx: Context, name: str | None = None) -> SessionQueue:
    try:
        return await ctx.lifespan_context.queue(ctx, name)
    except RlmError as error:
        raise MCPError(types.INVALID_PARAMS, str(error)[:_SHOWN]) from error


async def _list_prompts(ctx: Context, _params: Any) -> types.ListPromptsResult:
    del ctx
    return types.ListPromptsResult(prompts=prompts.listed())


async def _get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    del ctx
    try:
        return prompts.filled(params.name, params.arguments or {})
    except ValueError as error:
        raise MCPError(types.INVALID_PARAMS, str(error)[:_SHOWN]) from error


async def _complete(ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    queue = await _queue(ctx)
    values = prompts.completions(queue, params.argument.name, params.argument.value)
    return types.CompleteResult(
        completion=types.Completion(values=values[:100], total=len(values), has_more=len(values) > 100)
    )


async def _set_level(ctx: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
    ctx.lifespan_context.client(ctx).choose_level(params.level)
    return types.EmptyResult()
