"""The MCP adapter: the Runtime as tools, resources and prompts for an assistant.

    server = make_server(runtime)          # an mcp.server.Server, for any of the SDK's transports
    await serve_stdio(runtime)             # what `rlm-wasm mcp` does
    await serve_http(runtime, "127.0.0.1", 8000)

A thin layer: everything that it does, an embedder can do by ``Runtime``, by ``estimate`` and by
``plan``, which need no server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_wasm.mcp.bounds import ServerBounds
    from rlm_wasm.mcp.server import make_server
    from rlm_wasm.mcp.transports import serve_http, serve_stdio
    from rlm_wasm.planning import Estimate, Plan, estimate, plan

__all__ = [
    "Estimate",
    "Plan",
    "ServerBounds",
    "estimate",
    "make_server",
    "plan",
    "serve_http",
    "serve_stdio",
]

_LAZY = {
    "Estimate": "rlm_wasm.planning",
    "Plan": "rlm_wasm.planning",
    "ServerBounds": "rlm_wasm.mcp.bounds",
    "estimate": "rlm_wasm.planning",
    "make_server": "rlm_wasm.mcp.server",
    "plan": "rlm_wasm.planning",
    "serve_http": "rlm_wasm.mcp.transports",
    "serve_stdio": "rlm_wasm.mcp.transports",
}


def __getattr__(name: str) -> Any:
    """Import a part when it is first asked for: the SDK takes a while."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
