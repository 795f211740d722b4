"""The table of tools, and the one way by which they are called."""

from __future__ import annotations

import difflib
import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from rlm_wasm.errors import InternalError, InvalidToolArguments, RlmError
from rlm_wasm.mcp.tools import ask, execute, guide, plan, state
from rlm_wasm.mcp.tools.arguments import checked
from rlm_wasm.redaction import without_credentials

if TYPE_CHECKING:
    from rlm_wasm.mcp.tools.entry import Context, ToolEntry

log = logging.getLogger("rlm_wasm.mcp")

MAX_REFUSAL = 2_000
"""Characters: of what a client sent, its refusal repeats no more."""

TOOLS: tuple[ToolEntry[Any], ...] = (
    execute.EXECUTE_SCHEME,
    ask.ASK,
    state.LOAD_CONTEXT,
    state.RESET,
    state.GET_SCOPE_LOG,
    state.GET_EXECUTION_TRACE,
    state.GET_SANDBOX_STATE,
    state.GET_STATUS,
    execute.CANCEL_CALL,
    guide.GET_USAGE_GUIDE,
    guide.GET_PATTERN_DETAILS,
    guide.GET_API_REFERENCE,
    guide.GET_CODEGEN_REFERENCE,
    guide.GET_COMBINATOR_REFERENCE,
    plan.PLAN_STRATEGY,
    plan.ESTIMATE_COST,
)
"""In the order in which a client lists them: what every conversation needs comes first."""

_BY_NAME = {tool.name: tool for tool in TOOLS}


@cache
def listed() -> list[types.Tool]:
    """All tools, as the protocol lists them."""
    return [tool.to_tool() for tool in TOOLS]


def input_schema(name: str) -> dict[str, Any] | None:
    """For the SDK's own checks of HTTP headers."""
    tool = _BY_NAME.get(name)
    return None if tool is None else tool.input_schema()


async def call(ctx: Context, name: str, given: dict[str, Any] | None) -> types.CallToolResult:
    """Call a tool. What a model can mend is an answer; only an unknown tool is a protocol error."""
    tool = _BY_NAME.get(name)
    if tool is None:
        near = difflib.get_close_matches(name[:MAX_REFUSAL], _BY_NAME, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_BY_NAME)}"
        raise MCPError(types.INVALID_PARAMS, f"there is no tool {name[:MAX_REFUSAL]}: {hint}")
    try:
        answer = await tool.act(ctx, checked(tool.takes, given))
    except InvalidToolArguments as error:
        text = str(error)
        return _refused(
            f"{name}: {text}{'' if text.endswith('?') else '.'} Send, for example, {tool.example}"
        )
    except InternalError as error:
        return _defect(name, error, str(error))
    except RlmError as error:
        return _refused(f"{name}: {error}")
    except Exception as error:
        return _defect(name, error, f"{type(error).__name__}: {error}")
    return answer.to_result()


def _defect(name: str, error: Exception, message: str) -> types.CallToolResult:
    log.error("%s failed", name, exc_info=error)
    return _refused(f"{name}: internal error: {without_credentials(message)}. This is a defect of rlm-wasm.")


def _refused(message: str) -> types.CallToolResult:
    if len(message) > MAX_REFUSAL:
        message = f"{message[:MAX_REFUSAL]}…"
    return types.CallToolResult(content=[types.TextContent(text=message)], is_error=True)
