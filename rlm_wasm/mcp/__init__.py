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
    from rlm_wasm.mcp.estimating import Estimate, estimate
    from rlm_wasm.mcp.planning import Plan, plan
    from rlm_wasm.mcp.serve import serve_http, serve_stdio
    from rlm_wasm.mcp.server import make_server

__all__ = ["Estimate", "Plan", "estimate", "make_server", "plan", "serve_http", "serve_stdio"]

_LAZY = {
    "Estimate": "rlm_wasm.mcp.estimating",
    "Plan": "rlm_wasm.mcp.planning",
    "estimate": "rlm_wasm.mcp.estimating",
    "make_server": "rlm_wasm.mcp.server",
    "plan": "rlm_wasm.mcp.planning",
    "serve_http": "rlm_wasm.mcp.serve",
    "serve_stdio": "rlm_wasm.mcp.serve",
}


def __getattr__(name: str) -> Any:
    """Import a part when it is first asked for: the SDK takes a while."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
