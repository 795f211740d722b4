"""The transports: standard input and output, and streamable HTTP."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from rlm_wasm.errors import UsageError
from rlm_wasm.mcp.bearer import BearerAuth
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.mcp.flow import RequestRoom, bounded
from rlm_wasm.mcp.server import make_server
from rlm_wasm.mcp.stdin import input_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    import uvicorn
    from starlette.applications import Starlette

    from rlm_wasm.runtime import Runtime

PATH = "/mcp"
MAX_BODY_BYTES = 256 << 20
"""A context of 100 MB, escaped as JSON, fits into a request."""


async def serve_stdio(
    runtime: Runtime,
    *,
    session: str | None = None,
    bounds: ServerBounds | None = None,
    viewer_url: str | None = None,
) -> None:
    """Serve one client on standard input and output until it goes away.

    Meanwhile descriptor 1 is standard error (the SDK diverts it), so that nothing that prints can
    break the protocol. Cancelling this closes the sessions and ends it at once, also where the client sends
    nothing any more.
    """
    server = make_server(runtime, session=session, bounds=bounds, viewer_url=viewer_url)
    sizes: deque[int] = deque()
    async with (
        input_lines(MAX_BODY_BYTES, sizes) as lines,
        stdio_server(stdin=cast("Any", lines)) as (read, write),
        bounded(read, write, sizes, bounds or ServerBounds()) as (asked, unsent),
    ):
        await server.run(asked, unsent, server.create_initialization_options())


def http_app(
    runtime: Runtime,
    *,
    host: str = "127.0.0.1",
    session: str | None = None,
    token: str | None = None,
    bounds: ServerBounds | None = None,
) -> Starlette:
    """The ASGI application, for servers of your own.

    With a ``token`` every request must carry it (``Authorization: Bearer …``). On a loopback ``host``
    foreign Host and Origin headers are refused.
    """
    server = make_server(runtime, session=session, bounds=bounds)
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        host=host,
        max_request_body_size=MAX_BODY_BYTES,
        transport_security=_local_only(host) if is_loopback(host) else None,
    )
    app.add_middleware(RequestRoom, bounds=bounds or ServerBounds())
    if token is not None:  # outside of it: who does not have it takes no room
        app.add_middleware(BearerAuth, token=token)
    return app


def _local_only(host: str) -> TransportSecuritySettings:
    """Against DNS rebinding: a page of the web that reaches this address by a name of its own."""
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=sorted(f"{name}:*" for name in names),
        allowed_origins=sorted(f"http://{name}:*" for name in names),
    )


async def serve_http(
    runtime: Runtime,
    host: str,
    port: int,
    *,
    session: str | None = None,
    token: str | None = None,
    bounds: ServerBounds | None = None,
) -> None:
    """Serve streamable HTTP until the process is interrupted.

    Raises UsageError for an address beyond this machine without a ``token``.
    """
    check_address(host, token)
    import uvicorn

    config = uvicorn.Config(
        http_app(runtime, host=host, session=session, token=token, bounds=bounds),
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    print(f"rlm-wasm: {what_is_shared(runtime, host, port, session, token)}", file=sys.stderr)
    with _silent_once_ending(server):
        await server.serve()


@contextlib.contextmanager
def _silent_once_ending(server: uvicorn.Server) -> Iterator[None]:
    """That requests are cut off is no news to whoever ends the server; before it is."""

    def wanted(_record: logging.LogRecord) -> bool:
        return not server.should_exit

    logs = [logging.getLogger(name) for name in ("uvicorn.error", "mcp.shared.jsonrpc_dispatcher")]
    for log in logs:
        log.addFilter(wanted)
    try:
        yield
    finally:
        for log in logs:
            log.removeFilter(wanted)


def check_address(host: str, token: str | None) -> None:
    """Raises UsageError for an address that other machines reach, where no token keeps them out."""
    if token is None and not is_loopback(host):
        raise UsageError(
            f"{host} can be reached from other machines, and whoever reaches this server runs programs with"
            " your provider's key: give it a token by --token-file FILE, or bind it to 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address. Of names only localhost is one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def what_is_shared(runtime: Runtime, host: str, port: int, session: str | None, token: str | None) -> str:
    """One line: where the server is, who may come, and what those who come have in common."""
    grants = runtime.grants
    address = f"[{host}]" if ":" in host else host
    common = ["the provider and its key"]
    if grants.workspace is not None:
        common.append(f"the workspace {grants.workspace}")
    if grants.host_functions:
        common.append("host functions")
    common.append("sessions by name" if session is None else f"one session, {session}")
    listed = f"{', '.join(common[:-1])} and {common[-1]}"
    who = "whoever has the token" if token is not None else "whoever works on this machine"
    return f"MCP at http://{address}:{port}{PATH}, for {who}; clients share {listed}; limits are a session's"


def host_and_port(text: str) -> tuple[str, int]:
    """``127.0.0.1:8000``, ``[::1]:8000``, ``:8000`` or ``8000``. Raises UsageError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"--http wants HOST:PORT such as 127.0.0.1:8000, got {text!r}")
    return host, int(port)
