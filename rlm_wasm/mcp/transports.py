"""The transports: standard input and output, and streamable HTTP."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from mcp.server.stdio import stdio_server

from rlm_wasm.errors import UsageError
from rlm_wasm.mcp.server import make_server

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from rlm_wasm.runtime import Runtime

PATH = "/mcp"
MAX_BODY_BYTES = 256 << 20
"""A context of 100 MB, escaped as JSON, fits into a request."""


async def serve_stdio(runtime: Runtime, *, session: str | None = None) -> None:
    """Serve one client on standard input and output until it goes away.

    Meanwhile descriptor 1 is standard error (the SDK diverts it), so that nothing that prints can
    break the protocol.
    """
    server = make_server(runtime, session=session)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def http_app(runtime: Runtime, *, host: str = "127.0.0.1", session: str | None = None) -> Starlette:
    """The ASGI application, for servers of your own."""
    server = make_server(runtime, session=session)
    return server.streamable_http_app(
        streamable_http_path=PATH, host=host, max_request_body_size=MAX_BODY_BYTES
    )


async def serve_http(runtime: Runtime, host: str, port: int, *, session: str | None = None) -> None:
    """Serve streamable HTTP until the process is interrupted."""
    import uvicorn

    config = uvicorn.Config(
        http_app(runtime, host=host, session=session),
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    print(f"rlm-wasm: MCP at http://{host}:{port}{PATH}", file=sys.stderr)
    await server.serve()


def host_and_port(text: str) -> tuple[str, int]:
    """``127.0.0.1:8000``, ``[::1]:8000``, ``:8000`` or ``8000``. Raises UsageError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"--http wants HOST:PORT such as 127.0.0.1:8000, got {text!r}")
    return host, int(port)


def log_to_stderr() -> None:
    """The server's log, which holds what programs say with eprintf, goes to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("rlm_wasm.mcp")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
